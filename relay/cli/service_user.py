"""The user of the service, as the data directory shows it: files that root makes for the server are given to it."""

import os
from pathlib import Path

_DYNAMIC = range(61184, 65520)
"""User ids that systemd hands out for DynamicUser=: a file outside of its folders must not be left to one."""


def has_service_user(data_dir: Path) -> bool:
    """Whether root runs the command, and the data directory is of a user that exists for the service."""
    try:
        owner = data_dir.stat().st_uid
    except OSError:
        return False
    return os.geteuid() == 0 and owner != 0 and owner not in _DYNAMIC


def set_owner(data_dir: Path, *paths: Path) -> None:
    """Give what root made to the owner of the data directory, because the server runs as that user."""
    if os.geteuid() == 0:
        owner = data_dir.stat()
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid)
