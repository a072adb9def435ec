"""`python -m release`: builds a release of HEAD into dist/. See `make release`."""

import argparse
import hashlib
import shutil
import sys
from pathlib import Path

from release.dependencies import audit, write_bill
from release.files import NotReproducibleError, build

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "postgres.lock"
"""The widest set of dependencies: those of every extra that is for use."""


def main() -> int:
    """Make the files of a release; return 1 when it must not be published, 3 when its audit is missing."""
    parser = argparse.ArgumentParser(prog="release", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)

    try:
        files = build(ROOT, "HEAD", out)
    except NotReproducibleError as error:
        print(error, file=sys.stderr)
        return 1
    print("built twice, the same bytes")

    sdist = next(file for file in files if file.suffix == ".gz")
    bill = out / f"{sdist.name.removesuffix('.tar.gz')}.cdx.json"
    write_bill(ROOT, LOCK, bill)
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in (*files, bill))
    (out / "SHA256SUMS").write_text(sums)
    print(sums, end="")

    result = audit(LOCK)
    print(result)
    if result.vulnerable:
        return 1
    return 3 if result.unknown or result.error else 0


if __name__ == "__main__":
    sys.exit(main())
