"""CC tracking addresses: stable for an identity, believable without a database, no token of a message."""

from hypothesis import given
from hypothesis import strategies as st

from relay.mail.address import parse_address
from relay.rewrite.tokens import (
    ADDRESS_KINDS,
    Keyring,
    Kind,
    Token,
    cc_address,
    identity_of,
    sign_address_token,
    verify_address_token,
)

OLD = ("k1", bytes(range(32)))

NEW = ("k2", bytes(range(32, 64)))

RING = Keyring((OLD,))

IDENTITIES = ["billing@acme.test", "news@acme.test", "Ada@other.test"]


def test_it_is_stable_and_found_again_in_whatever_case() -> None:
    address = cc_address(RING, "Billing@acme.test", "reply.acme.test")
    assert address == cc_address(RING, "billing@acme.test", "reply.acme.test")
    assert parse_address(address).domain == "reply.acme.test"
    assert identity_of(RING, address.upper(), IDENTITIES) == "billing@acme.test"
    assert identity_of(RING, address, IDENTITIES[1:]) is None


def test_each_identity_and_key_has_its_own_and_old_keys_stay_good() -> None:
    rotated = Keyring((NEW, OLD))
    every = {cc_address(ring, one, "r.test") for ring in (RING, rotated) for one in IDENTITIES}
    assert len(every) == 2 * len(IDENTITIES)
    for one in IDENTITIES:
        assert identity_of(rotated, cc_address(RING, one, "r.test"), IDENTITIES) == one.lower()
        assert identity_of(RING, cc_address(rotated, one, "r.test"), IDENTITIES) is None


def test_it_is_no_token_of_a_message_nor_the_other_way_round() -> None:
    local = cc_address(RING, IDENTITIES[0], "r.test").partition("@")[0]
    assert all(verify_address_token(RING, kind, local) is None for kind in ADDRESS_KINDS)
    token = sign_address_token(RING, Token(Kind.REPLY, "06FJ3K9Q2M0A7C", 0))
    assert identity_of(RING, f"{token}@r.test", IDENTITIES) is None


@given(st.text(max_size=70))
def test_nothing_else_is_anybodys(text: str) -> None:
    assert identity_of(RING, text, IDENTITIES) is None
