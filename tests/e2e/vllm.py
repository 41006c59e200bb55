"""A real vLLM, where there is one."""

import os
import shutil
from pathlib import Path


def vllm_folder() -> Path | None:
    """Return the folder with `vllm` and its `python`, if there is one."""
    chosen = os.environ.get("INFERWATCH_TEST_VLLM")
    if chosen:
        return Path(chosen)
    found = shutil.which("vllm")
    return Path(found).parent if found else None
