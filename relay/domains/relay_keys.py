"""The keys of one relay: tokens and DKIM."""

from collections.abc import Mapping
from dataclasses import field

from relay.frozen import dataclass
from relay.mailauth.dkim_keys import SigningKey
from relay.rewrite.tokens import Keyring


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of tokens, and DKIM keys by sending domain."""

    tokens: Keyring
    dkim: Mapping[str, tuple[SigningKey, ...]] = field(default_factory=dict)
