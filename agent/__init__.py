"""The inferwatch daemon: what it knows, when it asks, and what it concludes."""

import os

# Before anything imports numpy: a second thread of its linear algebra would only wait.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
