"""Passwords that people choose, and the codes of their first login."""

SHORTEST = 12
"""Characters of a password, at least."""

MAX_PASSWORD = 256
"""Characters of a password, at most: each is hashed."""

CODE_OCTETS = 10
"""Octets of randomness in a code: 80 bits cannot be found by trying."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Without letters that look like digits (Crockford's base 32)."""


def new_code(random: bytes) -> str:
    """Return a code of 80 random bits: "4k7q-9x2m-…", 16 characters in groups of four."""
    number = int.from_bytes(random, "big")
    letters = "".join(_ALPHABET[number >> shift & 31] for shift in range(0, 80, 5))
    return "-".join(letters[at : at + 4] for at in range(0, 16, 4))


def typed_code(text: str) -> str:
    """Return a code in the form of `new_code`, however it was typed; other text unchanged."""
    letters = "".join(char for char in text.lower() if not char.isspace() and char != "-")
    if len(letters) != 16 or not set(letters) <= set(_ALPHABET):
        return text
    return "-".join(letters[at : at + 4] for at in range(0, 16, 4))


def password_fault(password: str, address: str) -> str:
    """Return why a person cannot have this password, "" if nothing is wrong with it."""
    if len(password) < SHORTEST:
        return f"The password has {len(password)} characters. At least {SHORTEST} are needed."
    if len(password) > MAX_PASSWORD:
        return f"The password has {len(password)} characters. At most {MAX_PASSWORD} are allowed."
    local = address.partition("@")[0]
    if address.lower() in password.lower() or (len(local) > 3 and local.lower() in password.lower()):
        return "The password has the address in it, so it is easy to guess."
    if len(set(password)) < 5:
        return "The password has fewer than five different characters, so it is easy to guess."
    return ""
