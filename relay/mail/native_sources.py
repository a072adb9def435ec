"""The digest of the sources of compiled code. `setup.py` runs this file, so it imports nothing of the relay."""

from hashlib import sha256
from pathlib import Path


def source_digest(folder: Path) -> str:
    """Return the digest of the Cython sources of a package, "" where they are not installed."""
    sources = sorted([*folder.glob("_native.pyx"), *folder.glob("*.pxi")])
    made = sha256()
    for source in sources:
        content = source.read_bytes()
        made.update(b"%s %d\n" % (source.name.encode(), len(content)) + content)
    return made.hexdigest()[:16] if sources else ""
