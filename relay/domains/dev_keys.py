"""One DKIM key that signs for every domain. No DNS has it: it is for a relay to develop against."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from relay.mailauth.dkim_keys import SigningKey, generate_key, load_key

SELECTOR = "dev"
"""Selector of the key."""


class DevKeys(Mapping[str, tuple[SigningKey, ...]]):
    """The same new key for each domain."""

    def __init__(self) -> None:
        self._key = load_key(generate_key("rsa-sha256"), "relay.localhost", SELECTOR)

    def __getitem__(self, domain: str) -> tuple[SigningKey, ...]:
        return (replace(self._key, domain=domain),) if domain else ()

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
