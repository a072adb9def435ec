"""The data directory at the start: only the account of the relay may use it."""

import os
from pathlib import Path

from relay.config.node_settings import node_dir
from relay.config.server import Server
from relay.domains.key_files import DKIM_FOLDER, TRACKER_KEY_FILE


def prepare_data_dir(server: Server) -> None:
    """Create `data_dir`, or close it to other users: mode 0700.

    Raise PermissionError if another user owns it, because that user can replace every file in it. The configuration
    check refuses a folder that other users can write to. Neither holds with `allow_open`.
    """
    folder = server.data_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if server.allow_open:
        return

    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise PermissionError(_foreign(folder, found.st_uid))
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def prepare_node_dir(server: Server, number: int) -> None:
    """Create the data directory of a node on this machine. The keys of the first node are those of all."""
    prepare_data_dir(server)
    keys = server.data_dir.absolute()
    (keys / DKIM_FOLDER).mkdir(mode=0o700, exist_ok=True)
    if number == 1:
        return
    folder = node_dir(server.data_dir, number)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (DKIM_FOLDER, TRACKER_KEY_FILE):
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(keys / name)


def _foreign(folder: Path, owner: int) -> str:
    return (
        f"server.data_dir: {folder} belongs to user {owner}, not to the user {os.geteuid()} of this process; "
        "change its owner, or set server.allow_open = true"
    )
