"""One target under atheris: `python -m tests.fuzz.atheris_run TARGET [libFuzzer options] CORPUS SEEDS`."""

import sys
from importlib import import_module
from typing import Any

atheris: Any = import_module("atheris")

with atheris.instrument_imports(include=["relay"]):
    from tests.fuzz.targets import check


def main() -> None:
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], lambda data: check(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
