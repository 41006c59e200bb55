"""What is freed is there for the next time."""

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys
if sys.argv[1] == "kept":
    from agent.allocator import keep_freed_memory
    keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def page(size):
    return len(b"%b" * size % ((b"some text",) * size))

for size in (30_000, 40_000):
    page(size)
before = faults()
for _ in range(20):
    page(40_000)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_a_page_that_is_made_again_costs_no_new_memory():
    """Making the same page again and again takes no memory from the kernel once it is told."""

    def faults(kept: str) -> int:
        command = [sys.executable, "-c", CODE, kept]
        return int(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)

    assert faults("kept") < 100
    assert faults("given back") > 1000
