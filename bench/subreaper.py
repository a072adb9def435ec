"""Runs a command and adopts the processes it leaves behind: `python -m bench.subreaper COMMAND …`.

A server that detaches its deliveries would otherwise lose their CPU time to init. Linux only (prctl(2)).
"""

import ctypes
import os
import signal
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Wait for the command and all that it leaves behind; pass SIGTERM on to it."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    process = subprocess.Popen(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while os.waitpid(-1, 0)[0] != process.pid:
        pass


if __name__ == "__main__":
    main()
