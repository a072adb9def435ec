"""Where signing keys lie on disk: `data_dir/dkim/<domain>/<selector>.pem`. The one part of the room that does I/O."""

from collections.abc import Sequence
from pathlib import Path

from relay.sign.keys import KeyFaultError, SigningKey, check_names, load_key


def key_path(data_dir: Path, domain: str, selector: str) -> Path:
    """Return the path of a key file; raise KeyFaultError when the names are no DNS names and might leave the folder."""
    check_names(selector, domain)
    return data_dir / "dkim" / domain.lower() / f"{selector}.pem"


def read_keys(data_dir: Path, domain: str, selectors: Sequence[str]) -> tuple[SigningKey, ...]:
    """Read the keys of a domain that are there, in the order of the selectors; `missing_keys` names the others.

    Raises KeyFaultError naming the file when one holds no usable key, OSError when one cannot be read.
    """
    return tuple(
        _read(path, domain, selector)
        for selector in selectors
        if (path := key_path(data_dir, domain, selector)).exists()
    )


def missing_keys(data_dir: Path, domain: str, selectors: Sequence[str]) -> tuple[Path, ...]:
    """Return the paths where keys of these selectors should lie and do not."""
    paths = (key_path(data_dir, domain, selector) for selector in selectors)
    return tuple(path for path in paths if not path.exists())


def write_key(data_dir: Path, domain: str, selector: str, pem: bytes) -> Path:
    """Write a key where `read_keys` finds it, readable by its owner only, and return its path.

    The file appears whole or not at all. Raises FileExistsError when there is a key already: replacing it would break
    every signature made with it; KeyFaultError when `pem` is no usable key.
    """
    key = load_key(pem, domain, selector)
    path = key_path(data_dir, domain, selector)
    data_dir.mkdir(parents=True, exist_ok=True)
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        fresh.touch(mode=0o600, exist_ok=False)
        fresh.write_bytes(key.pem)
        path.hardlink_to(fresh)
    except FileExistsError:
        raise FileExistsError(f"{path} is there already; make the new key under another selector") from None
    finally:
        fresh.unlink(missing_ok=True)
    return path


def replace_key(data_dir: Path, domain: str, selector: str, pem: bytes) -> Path:
    """Write a key as `write_key` does, in place of one that nobody needs any more when there is one."""
    key = load_key(pem, domain, selector)
    path = key_path(data_dir, domain, selector)
    if not path.exists():
        return write_key(data_dir, domain, selector, pem)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_bytes(key.pem)
    fresh.replace(path)
    return path


def _read(path: Path, domain: str, selector: str) -> SigningKey:
    try:
        return load_key(path.read_bytes(), domain, selector)
    except KeyFaultError as fault:
        raise KeyFaultError(f"{path}: {fault}") from None
