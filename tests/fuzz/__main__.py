"""Fuzzes the parsers for a while: `python -m tests.fuzz [--seconds 600] [TARGET ...]`, or `make fuzz`.

Each target gets the same part of the time. What it learns stays in tests/.artifacts/fuzz, for the next run. An input
that breaks a parser is written there as crash-…: correct the parser, and keep the input in tests/golden/fuzz/TARGET.
Exits with 1 if there is one. Needs atheris (`pip install atheris`); says so and ends with 0 without it.
"""

import argparse
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import ROOT, TARGETS

ARTIFACTS = ROOT / "tests" / ".artifacts" / "fuzz"

OTHER_RUNS = ("postfix", "model", "properties")
"""Runs beside the targets: address lists against a running Postfix, the queue against its model, more examples of the
properties."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join((*TARGETS, *OTHER_RUNS))}")
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    asked = parser.parse_args()
    names = asked.targets or [*TARGETS, *OTHER_RUNS]
    unknown = [name for name in names if name not in TARGETS and name not in OTHER_RUNS]
    if unknown:
        parser.error(f"there is no target {', '.join(unknown)}; there are {', '.join((*TARGETS, *OTHER_RUNS))}")
    seconds = max(asked.seconds // len(names), 1)
    failed = [name for name in names if not run(name, seconds)]
    print(f"fuzz: {', '.join(failed)} failed" if failed else f"fuzz: {len(names)} targets, nothing found")
    return 1 if failed else 0


def run(name: str, seconds: int) -> bool:
    """Run one target in a process of its own; tell whether nothing was found."""
    if name in OTHER_RUNS:
        command = [sys.executable, "-m", f"tests.fuzz.{name}_run", str(seconds)]
        return subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    if importlib.util.find_spec("atheris") is None:
        print(f"fuzz {name}: skipped: atheris is not installed (pip install atheris)")
        return True
    corpus, seeds = ARTIFACTS / name / "corpus", ARTIFACTS / name / "seeds"
    write_seeds(name, seeds)
    corpus.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={ARTIFACTS / name}/",
        "-max_len=8192",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-m", "tests.fuzz.atheris_run", name, *options, str(corpus), str(seeds)]
    with (ARTIFACTS / name / "log").open("wb") as log:
        code = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
    report(name, code, ARTIFACTS / name / "log")
    return code == 0


def write_seeds(name: str, folder: Path) -> None:
    from tests.fuzz.seeds import seeds_of

    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds_of(name):
        (folder / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)


def report(name: str, code: int, log: Path) -> None:
    text = log.read_text("utf-8", "replace")
    executed = next((line.split()[-1] for line in text.splitlines() if "number_of_executed_units" in line), "?")
    print(f"fuzz {name}: {executed} inputs, {'nothing found' if code == 0 else f'ended with {code}'}", flush=True)
    if code:
        print(*text.splitlines()[-40:], f"the whole log: {log}", sep=os.linesep)


if __name__ == "__main__":
    sys.exit(main())
