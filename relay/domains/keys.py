"""The keys that one relay signs, rewrites and forwards with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.mailauth.dkim_keys import SigningKey
from relay.rewrite.tokens import Keyring


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the relay: link tokens, and DKIM by sending domain."""

    tokens: Keyring
    dkim: Mapping[str, tuple[SigningKey, ...]] = field(default_factory=dict)
