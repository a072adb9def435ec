"""Hashes of secrets. The configuration holds hashes only, so that its readers do not get the secrets."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

_DIGEST_SIZE = 32
"""Octets of the digest of a new hash."""

_MIN_SALT = 8
"""Octets of a salt, at least."""

_BLAKE2B_MAX_SALT = hashlib.blake2b.SALT_SIZE
"""Octets of a salt for BLAKE2b, at most."""

_SCRYPT_MAX_MEMORY = 256 * 1024 * 1024
"""Octets of memory for one scrypt check, at most: AUTH must not exhaust memory."""

_FORMS = '"blake2b:<salt>:<digest>" or "scrypt:<n>:<r>:<p>:<salt>:<digest>", salt and digest in base64'


class SecretHashError(ValueError):
    """The text is not a valid hash of a secret; the message names the error."""


@dataclass(frozen=True, slots=True)
class SecretHash:
    """A parsed hash. `n`, `r` and `p` are the cost parameters of scrypt (RFC 7914 section 2), 0 for BLAKE2b."""

    scheme: Literal["blake2b", "scrypt"]
    salt: bytes
    digest: bytes
    n: int = 0
    r: int = 0
    p: int = 0

    @property
    def cost(self) -> tuple[str, int, int, int]:
        """Scheme and cost parameters. Checks of equal cost take the same time."""
        return self.scheme, self.n, self.r, self.p

    def matches(self, secret: str) -> bool:
        """Whether the secret has this hash. The comparison takes constant time."""
        return hmac.compare_digest(self.of(secret), self.digest)

    def of(self, secret: str) -> bytes:
        """Return the digest of a secret under this scheme, salt and cost."""
        if self.scheme == "blake2b":
            return hashlib.blake2b(secret.encode(), digest_size=len(self.digest), salt=self.salt).digest()
        return hashlib.scrypt(
            secret.encode(),
            salt=self.salt,
            n=self.n,
            r=self.r,
            p=self.p,
            maxmem=_SCRYPT_MAX_MEMORY,
            dklen=len(self.digest),
        )


def hash_secret(secret: str, salt: bytes) -> str:
    """Return "blake2b:<salt>:<digest>" of a generated secret.

    A fast hash is enough for a secret of 160 random bits, which cannot be found by trying. Passwords that people choose
    need the scrypt form. `salt` has 8 to 16 octets.
    """
    if not _MIN_SALT <= len(salt) <= _BLAKE2B_MAX_SALT:
        raise ValueError(f"the salt has {len(salt)} octets, not {_MIN_SALT} to {_BLAKE2B_MAX_SALT}")
    digest = SecretHash("blake2b", salt, bytes(_DIGEST_SIZE)).of(secret)
    return f"blake2b:{_encode(salt)}:{_encode(digest)}"


PASSWORD_COST = (32768, 8, 3)
"""n, r and p of scrypt for passwords that people choose: 32 MiB and about 0.2 seconds for each try."""


def hash_password(password: str, salt: bytes, cost: tuple[int, int, int] = PASSWORD_COST) -> str:
    """Return "scrypt:<n>:<r>:<p>:<salt>:<digest>" of a password that a person chose. `salt` has 8 octets or more."""
    if len(salt) < _MIN_SALT:
        raise ValueError(f"the salt has {len(salt)} octets, not {_MIN_SALT} or more")
    digest = SecretHash("scrypt", salt, bytes(_DIGEST_SIZE), *cost).of(password)
    return ":".join(("scrypt", *map(str, cost), _encode(salt), _encode(digest)))


def verify_secret(secret_hash: str, secret: str) -> bool:
    """Return True if the secret has this hash. The comparison takes constant time.

    Raises SecretHashError if `secret_hash` is malformed; the configuration rejects such hashes.
    """
    return parse_secret_hash(secret_hash).matches(secret)


def parse_secret_hash(text: str) -> SecretHash:
    """Parse "blake2b:…" or "scrypt:…"; raise SecretHashError that names the error."""
    match text.split(":"):
        case ["blake2b", salt, digest]:
            parsed = SecretHash("blake2b", _decode("salt", salt), _decode("digest", digest))
            if len(parsed.salt) > _BLAKE2B_MAX_SALT:
                raise SecretHashError(f"the salt has more than {_BLAKE2B_MAX_SALT} octets")
        case ["scrypt", n, r, p, salt, digest]:
            cost = _cost(n, r, p)
            parsed = SecretHash("scrypt", _decode("salt", salt), _decode("digest", digest), *cost)
        case _:
            raise SecretHashError(f"is not a hash of a secret: {_FORMS}")

    if len(parsed.salt) < _MIN_SALT:
        raise SecretHashError(f"the salt has fewer than {_MIN_SALT} octets")
    if not 16 <= len(parsed.digest) <= 64:
        raise SecretHashError(f"the digest has {len(parsed.digest)} octets, not 16 to 64")
    return parsed


def _cost(*numbers: str) -> tuple[int, int, int]:
    if not all(number.isascii() and number.isdigit() and len(number) < 9 for number in numbers):
        raise SecretHashError("the cost of scrypt must be three numbers n:r:p, such as 16384:8:1")
    n, r, p = map(int, numbers)
    if n < 2 or n & (n - 1) or r < 1 or p < 1:
        raise SecretHashError("scrypt needs n a power of 2 above 1, r and p at least 1")
    if 128 * r * (n + p + 2) > _SCRYPT_MAX_MEMORY:
        raise SecretHashError("the cost of scrypt needs more than 256 MiB for one check")
    return n, r, p


def _encode(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _decode(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SecretHashError(f"the {name} is not base64") from None
