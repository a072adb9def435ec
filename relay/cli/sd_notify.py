"""Notifications to systemd (sd_notify(3))."""

import os
import socket


def sd_notify(state: str) -> None:
    """Send a state such as "READY=1" to systemd; without systemd do nothing (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        try:
            notify.connect(address)
            notify.sendall(state.encode())
        except OSError:
            return
