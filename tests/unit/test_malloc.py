"""Freed memory of large contents goes back to the system, and that of small ones is kept where it is wanted."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from relay.malloc import return_large_blocks

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS:"))

return_large_blocks()
before = resident()
with ThreadPoolExecutor(6) as pool:
    for _ in range(10):
        kept = list(pool.map(lambda _: b"x" * 25_000_000, range(2)))
        small = [bytes(60_000) for _ in range(20)]
        del kept
    print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the threshold is one of glibc")
def test_threads_keep_nothing_of_large_contents_that_were_freed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 20_000


KEEPING = """
import resource
from relay.malloc import keep_small_blocks

keep_small_blocks(8_000_000)

def message():
    kept = [bytes(200_000) for _ in range(6)]

message()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    message()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the threshold is one of glibc")
def test_a_process_keeps_the_memory_of_a_message_for_the_next_one() -> None:
    done = subprocess.run([sys.executable, "-c", KEEPING], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 300, "without it, 20 messages of 1.2 MB take 6,000 new pages"
