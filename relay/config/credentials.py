"""`[credentials]`: logins of applications, and the form of the keys that are their secrets."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from relay.config.compat import Dialects
from relay.config.parsers import setting_error
from relay.config.sandbox import Sandbox
from relay.config.secret_hash import SecretHash, SecretHashError, parse_secret_hash
from relay.config.values import FROM_FILE, DomainName, Flag, Name, Section

_EXAMPLE_HASH = "blake2b:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

MAX_HASHES = 2
"""Hashes of one credential, at most: the present secret and the next one."""

Cost = tuple[str, int, int, int]

_KEY = re.compile(r"(?:AccessKey )?(rk_([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})_[0-9A-Za-z]{32})")
"""A key has the name of its credential. One vendor's clients write a word before the secret."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_KEY_LENGTH = 32

RANDOM_OCTETS = 32
"""Octets of randomness from which a key is made."""


def new_key(name: str, random: bytes) -> str:
    """Return "rk_<name>_<32 letters and digits>": 190 bits of the random octets. It works with any user name."""
    number = int.from_bytes(random, "big")
    digits = []
    for _ in range(_KEY_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return f"rk_{name}_{''.join(digits)}"


def parse_key(secret: str) -> tuple[str, str]:
    """Return the credential that a key names, and the key; ("", secret) for a secret of another form."""
    found = _KEY.fullmatch(secret)
    return (found[2], found[1]) if found else ("", secret)


def fingerprint(secret_hash: str) -> str:
    """Return a short name of a hash, which shows nothing of it."""
    return sha256(secret_hash.encode()).hexdigest()[:12]


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str | SecretStr) else value


def _valid_hashes(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not 1 <= len(value) <= MAX_HASHES:
        raise setting_error(f"has {len(value)} hashes", f"1 to {MAX_HASHES}: that of the secret, and of the next one")
    for one in value:
        try:
            parse_secret_hash(one.get_secret_value())
        except SecretHashError as error:
            raise setting_error(str(error), "the output of `relay credential new NAME`") from None
    return value


Scope = Literal["send", "read", "suppressions", "webhooks", "manage"]
"""What a credential may do: send mail, read, change the address lists, webhooks, and domains, identities and queue."""


class Credential(Section):
    """`[credentials.…]`: a name, the hashes of its secrets, and what its clients may do beside sending."""

    secret_hash: Annotated[
        tuple[SecretStr, ...],
        FROM_FILE,
        BeforeValidator(_as_list, json_schema_input_type=str | tuple[str, ...]),
        AfterValidator(_valid_hashes),
    ] = Field(examples=[_EXAMPLE_HASH])
    providers: tuple[Name, ...] = ()
    headers: Dialects = ()
    may_bypass_lists: Flag = False
    scopes: tuple[Scope, ...] = ("send",)
    domains: tuple[DomainName, ...] = ()
    """Sending domains it may use, see and change; empty: all that `identities` allow."""
    sandbox: Sandbox = False

    def hashes(self) -> Iterator[tuple[str, SecretHash]]:
        """Yield each hash with its fingerprint."""
        for one in self.secret_hash:
            text = one.get_secret_value()
            yield fingerprint(text), parse_secret_hash(text)

    def verify(self, secret: str) -> bool:
        """Whether this is one of the secrets."""
        return any(parsed.matches(secret) for _, parsed in self.hashes())

    @property
    def costs(self) -> Counter[Cost]:
        """The number of hashes of each cost."""
        return Counter(parsed.cost for _, parsed in self.hashes())


def most_hashes(credentials: Iterable[Credential]) -> Mapping[Cost, tuple[int, SecretHash]]:
    """Return the most hashes of each cost that one credential has, and one of that cost.

    Checking so many of each takes as long for every name.
    """
    found: dict[Cost, tuple[int, SecretHash]] = {}
    for credential in credentials:
        costs = credential.costs
        for _, parsed in credential.hashes():
            most = found.get(parsed.cost, (0, parsed))[0]
            found[parsed.cost] = max(most, costs[parsed.cost]), parsed
    return found
