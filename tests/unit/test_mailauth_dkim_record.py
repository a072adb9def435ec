import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mailauth.dkim_keys import dns_record, generate_key, load_key
from relay.mailauth.dkim_record import PublishedKeyError, is_cut, parse_published_key, same_key, tags_of

SHORT, LONG = (dns_record(load_key(generate_key("rsa-sha256", bits), "acme.test", "s1")) for bits in (1024, 2048))

EDWARDS = dns_record(load_key(generate_key("ed25519-sha256"), "acme.test", "e1"))


@pytest.mark.parametrize(
    ("text", "kind", "bits"),
    [(SHORT, "rsa", 1024), (LONG, "rsa", 2048), (EDWARDS, "ed25519", 256)],
    ids=["rsa-1024", "rsa-2048", "ed25519"],
)
def test_kind_and_length_are_read(text: str, kind: str, bits: int) -> None:
    key = parse_published_key(text)
    assert (key.kind, key.bits, key.revoked, key.testing) == (kind, bits, False, False)


def test_version_and_kind_may_be_left_out_and_blanks_stand_anywhere() -> None:
    material = tags_of(LONG)["p"]
    assert same_key(f" p = {material[:100]} {material[100:]} ;t=y:s", LONG)
    assert parse_published_key(f"t=s:y; p={material}").testing


def test_other_keys_are_not_the_same() -> None:
    assert not same_key(SHORT, LONG)
    assert not same_key("v=DKIM1; p=", "v=DKIM1; p=")


def test_a_revoked_key_is_reported() -> None:
    assert parse_published_key("v=DKIM1; p=").revoked


def test_a_record_cut_by_a_panel_is_recognised() -> None:
    assert is_cut(LONG[:255], LONG)
    assert not is_cut(LONG, LONG)
    assert not is_cut(SHORT, LONG)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("v=DKIM2; p=QQ==", "v=DKIM2"),
        ("v=DKIM1; k=rsa", "no p="),
        ("k=dsa; p=QQ==", "k=dsa"),
        (LONG[:255], "lost or mangled"),
        ("p=not*base64", "not base64"),
        ("p=" + base64.b64encode(b"no DER").decode(), "no RSA key"),
        ("k=ed25519; p=QQ==", "1 octets"),
    ],
)
def test_what_is_no_key_is_named(text: str, fault: str) -> None:
    with pytest.raises(PublishedKeyError, match=fault.replace("*", r"\*")):
        parse_published_key(text)


@given(st.one_of(st.text(max_size=80), st.binary(max_size=80).map(lambda b: "p=" + base64.b64encode(b).decode())))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    with suppress(PublishedKeyError):
        key = parse_published_key(text)
        assert key.revoked or key.bits > 0
