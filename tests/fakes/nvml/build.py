"""Compiling the stub driver: once for each variant and each state of its source."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final, Literal

Variant = Literal["full", "r470", "bare"]

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parents[2] / "build" / "nvml-stub"
MACROS: Final[dict[Variant, tuple[str, ...]]] = {
    "full": (),
    "r470": ("-DVARIANT_R470",),
    "bare": ("-DVARIANT_BARE",),
}
FLAGS: Final = (
    "-std=gnu11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-shared",
    "-fPIC",
    "-pthread",
    "-Wl,-soname,libnvidia-ml.so.1",
)


class CompilerMissingError(RuntimeError):
    """There is no C compiler; the message says what to install."""


def build(variant: Variant = "full") -> Path:
    """Return the folder that holds `libnvidia-ml.so.1` of a variant, compiling it when needed.

    Raises:
        CompilerMissingError: neither `$CC` nor `cc` can be run.
        RuntimeError: the compiler refused the source; the message is the compiler's.
    """
    sources = sorted(HERE.glob("*.c"))
    digest = hashlib.sha256()
    for path in [*sources, *sorted(HERE.glob("*.h"))]:
        digest.update(path.read_bytes())
    folder = CACHE / f"{variant}-{digest.hexdigest()[:12]}"
    library = folder / "libnvidia-ml.so.1"
    if library.exists():
        return folder
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise CompilerMissingError(
            "The stub NVIDIA driver needs a C compiler: install gcc (Debian: apt install gcc "
            "libc6-dev), or name one in the environment variable CC."
        )
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{os.getpid()}.so"
    done = subprocess.run(
        [compiler, *FLAGS, *MACROS[variant], "-o", str(unfinished), *map(str, sources)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{compiler} refused the stub driver:\n{done.stderr}")
    # Renamed into place: another test process may be building the same variant.
    unfinished.replace(library)
    return folder
