"""The Sender Rewriting Scheme: reverse-paths of our own that find the way back, and nobody else's."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail import srs
from relay.mail.address import parse_address
from relay.mail.srs import DAY, MAX_AGE, UNDATED_UNTIL, srs_decode, srs_encode

KEY = bytes(range(32))

OTHER = bytes(32)

NOW = 1_800_000_000.0

OURS = "reply.acme.test"

LOCALS = st.text(string.ascii_letters + string.digits + "+-_=", min_size=1, max_size=24)

DOMAINS = st.from_regex(r"[a-z0-9]{1,10}\.test", fullmatch=True)


def rewritten(reverse_path: str, now: float = NOW) -> str:
    return srs_encode(KEY, reverse_path, OURS, now)


def test_it_has_the_well_known_form() -> None:
    first, digest, day, domain, local = rewritten("ben@rcpt.test").partition("@")[0].split("=")
    assert (first, len(digest), len(day), domain, local) == ("SRS0", 8, 2, "rcpt.test", "ben")
    assert parse_address(rewritten("ben@rcpt.test")).domain == OURS


@given(LOCALS, DOMAINS, st.integers(0, MAX_AGE), st.floats(0, 4e9))
def test_a_bounce_finds_its_way_back_within_its_days(local: str, domain: str, days: int, now: float) -> None:
    there = srs_encode(KEY, f"{local}@{domain}", OURS, now)
    if not there:
        assert len(local) + len(domain) > 40
        return
    back = srs_decode([OTHER, KEY], there.lower() if days % 2 else there, now + days * DAY)
    assert back is not None
    expected = f"{local}@{domain}"
    assert back.lower() == expected.lower() or local.upper().startswith(("SRS0", "SRS1"))


@given(st.text(max_size=80))
def test_nothing_a_stranger_writes_is_believed(text: str) -> None:
    for address in (text, f"SRS0={text}@{OURS}", f"SRS0=AAAAAAAA=AA={text}@{OURS}", f"SRS1=AAAAAAAA={text}@{OURS}"):
        assert srs_decode([KEY], address, NOW) is None


def test_it_is_good_for_its_days_and_its_key_only() -> None:
    there = rewritten("ben@rcpt.test")
    assert srs_decode([KEY], there, NOW + MAX_AGE * DAY) == "ben@rcpt.test"
    assert srs_decode([KEY], there, NOW + (MAX_AGE + 1) * DAY) is None
    assert srs_decode([KEY], there, NOW - DAY) is None
    assert srs_decode([OTHER], there, NOW) is None
    assert srs_decode([KEY], there.replace("=ben@", "=eve@"), NOW) is None
    assert srs_decode([KEY], there.replace("rcpt.test", "evil.test"), NOW) is None


def test_what_another_forwarder_rewrote_goes_back_to_that_one() -> None:
    theirs = "SRS0=HHHH=TT=origin.test=ben@forwarder.test"
    there = rewritten(theirs)
    assert there.startswith("SRS1=")
    assert srs_decode([KEY], there, NOW) == theirs
    again = srs_encode(OTHER, there, "third.test", NOW)
    assert srs_decode([OTHER], again, NOW) == theirs


def test_an_address_of_another_forwarder_has_a_date_of_its_own() -> None:
    theirs = "SRS0=HHHH=TT=origin.test=ben@forwarder.test"
    there = rewritten(theirs)
    first, claimed, domain, *_ = there.split("=")
    assert (first, len(claimed), domain) == ("SRS1", 10, "forwarder.test")
    assert srs_decode([KEY], there, NOW + MAX_AGE * DAY) == theirs
    assert srs_decode([KEY], there, NOW + (MAX_AGE + 1) * DAY) is None
    other_day = there.replace(claimed, claimed[:8] + ("AB" if claimed[8:] != "AB" else "AC"))
    assert srs_decode([KEY], other_day, NOW) is None
    undated = (
        f"SRS1={srs._hash(KEY, 'forwarder.test==HHHH=TT=origin.test=ben')}=forwarder.test==HHHH=TT=origin.test=ben@x"
    )
    assert srs_decode([KEY], undated, UNDATED_UNTIL - 1) == theirs
    assert srs_decode([KEY], undated, UNDATED_UNTIL) is None


def test_null_stays_null_and_what_does_not_fit_becomes_null() -> None:
    assert rewritten("") == ""
    assert rewritten("a" * 60 + "@rcpt.test") == ""
    assert rewritten('"a b"@rcpt.test') == ""
    assert rewritten("ben@[192.0.2.1]") == ""


@pytest.mark.parametrize("address", ["jörg@rcpt.test", "ben@bücher.test"])
def test_addresses_beyond_ascii_are_encoded_and_decoded(address: str) -> None:
    assert srs_decode([KEY], rewritten(address), NOW) == address
