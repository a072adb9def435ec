"""Samples where a Python process spends its CPU time; put on PYTHONPATH, it needs no change of the program.

Every `PERIOD` seconds of CPU time the stack of the main thread is counted. Each process writes its counts to
`$RELAY_SAMPLES/<pid>` when it ends: lines of "count<TAB>outermost;…;innermost", a frame as file:function.
"""

import atexit
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

PERIOD = 0.002
MAX_FRAMES = 40

samples: Counter[str] = Counter()


def _sample(number: int, frame: FrameType | None) -> None:
    stack: list[str] = []
    while frame is not None and len(stack) < MAX_FRAMES:
        code = frame.f_code
        stack.append(f"{code.co_filename}:{code.co_name}")
        frame = frame.f_back
    samples[";".join(reversed(stack))] += 1


def _write(folder: str) -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    lines = (f"{count}\t{stack}\n" for stack, count in samples.most_common())
    Path(folder, str(os.getpid())).write_text(f"# {' '.join(sys.argv)}\n" + "".join(lines))


def _sample_renderers() -> None:
    """Renderers start isolated, without PYTHONPATH: their program is made to begin with this file."""
    from relay.render import process as render_process

    render_process.PROGRAM = f"import runpy; runpy.run_path({__file__!r})\n{render_process.PROGRAM}"
    render_process.INHERITED_ENVIRONMENT += ("RELAY_SAMPLES",)


if folder := os.environ.get("RELAY_SAMPLES"):
    signal.signal(signal.SIGPROF, _sample)
    signal.setitimer(signal.ITIMER_PROF, PERIOD, PERIOD)
    atexit.register(_write, folder)
    if not sys.flags.isolated:
        _sample_renderers()
