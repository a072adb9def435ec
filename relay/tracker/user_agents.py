"""User agents: whether a request comes from a reader, from a proxy for a reader, or from a machine.

`clients.toml` has the evidence, each entry with its source and date.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal, get_args

Requester = Literal["person", "proxy", "machine"]
"""For whom a request is made: `proxy` is a server of the mailbox provider, on behalf of a reader it does not name."""

_DEVICE = re.compile(
    r"\((?![^()]*\bcompatible\b)[^()]*\b(?:Android|Adr|Windows Phone|Tizen|KAIOS|HarmonyOS)\b[^()]*\)"
    r"|\[FB[^\[\]]*\]",
    re.I,
)
"""What a phone says about itself, with its name; also in the brackets that apps of Facebook add."""

_FIELDS = {"name", "pattern", "opens", "clicks", "source", "date", "example"}
"""What each entry has; `device` may be added."""


@dataclass(frozen=True, slots=True)
class KnownClient:
    """An entry of the data file."""

    name: str
    pattern: re.Pattern[str]
    opens: Requester
    clicks: Requester
    device: bool
    example: str

    def matches(self, user_agent: str, without_device: str) -> bool:
        """Whether it is a user agent of this client."""
        return self.pattern.search(user_agent if self.device else without_device) is not None


NO_USER_AGENT = KnownClient("no user agent", re.compile(r"\A\Z"), "machine", "machine", device=True, example="")


def load_clients(text: str) -> tuple[KnownClient, ...]:
    """Read a data file. Raises ValueError that names the entry at fault."""
    found = []
    for number, entry in enumerate(tomllib.loads(text)["client"], 1):
        name = entry.get("name", f"entry {number}")
        if set(entry) - {"device"} != _FIELDS:
            raise ValueError(f"{name}: the fields are not {', '.join(sorted(_FIELDS))}")
        if not {entry["opens"], entry["clicks"]} <= set(get_args(Requester)):
            raise ValueError(f"{name}: opens and clicks must be person, proxy or machine")
        found.append(
            KnownClient(
                name,
                re.compile(entry["pattern"], re.IGNORECASE),
                entry["opens"],
                entry["clicks"],
                entry.get("device", True),
                entry["example"],
            )
        )
    return tuple(found)


CLIENTS: Sequence[KnownClient] = load_clients(files("relay.tracker").joinpath("clients.toml").read_text("utf-8"))


@lru_cache(maxsize=1024)
def known_client(user_agent: str) -> KnownClient | None:
    """Return the first entry that matches the user agent, None for a browser or mail program of a reader."""
    if not user_agent:
        return NO_USER_AGENT
    without_device = _DEVICE.sub("", user_agent)
    return next((client for client in CLIENTS if client.matches(user_agent, without_device)), None)
