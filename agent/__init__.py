"""The inferwatch daemon: what it knows, when it asks, and what it concludes."""
