"""The settings of `relay serve --dev`: a relay to develop against. No file has them."""

from pathlib import Path
from typing import Any, ClassVar

from relay.config.sandbox import DeliverTo
from relay.config.settings import Settings

LOGIN = "dev"
"""Credential of every login."""

_NO_HASH = "blake2b:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""The hash of no secret: a credential has one."""


class DevSettings(Settings):
    """Settings under which every login is right, every domain is signed for, and all mail is in the sandbox."""

    any_login: ClassVar[str] = LOGIN
    signs_for_all: ClassVar[bool] = True

    def sandbox_for(self, address: str) -> bool | DeliverTo:
        """Return True, whatever the address."""
        del address
        return True


def dev_settings(data_dir: Path, smtp_port: int, http_port: int) -> DevSettings:
    """Return the settings. Both ports are on loopback; the tracker is behind the pages, on a free port."""
    values: dict[str, Any] = {
        "server": {"hostname": "relay.localhost", "data_dir": str(data_dir)},
        "listener": [{"name": "submission", "address": f"127.0.0.1:{smtp_port}"}],
        "tracker": {"address": "127.0.0.1:0", "base_url": f"http://127.0.0.1:{http_port}", "guard": False},
        "defaults": {
            "sandbox": True,
            "return_path": "bounces.relay.localhost",
            "reply_domain": "reply.relay.localhost",
        },
        "simulator": {"speed": 10},
        "credentials": {LOGIN: {"secret_hash": _NO_HASH, "scopes": ["send", "read", "suppressions"]}},
        "verification": {"campaign": False},
        "render": {"workers": 0},
        "queue": {"retry": ["5s", "10s", "30s", "1m", "5m"], "nightly_audit": False},
        "log": {"format": "console", "level": "warning"},
    }
    return DevSettings.model_validate(values)
