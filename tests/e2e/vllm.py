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


def environment(folder: Path) -> dict[str, str]:
    """Return the environment in which it serves a tiny model on the CPU, asking nothing outside.

    Args:
        folder: see `vllm_folder`.
    """
    return {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_HOST_IP": "127.0.0.1",
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }
