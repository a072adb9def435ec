"""SASL responses with an access token, against the examples of the vendors' pages and RFC 7628."""

import json
from base64 import b64decode, b64encode

import pytest

from relay.mail.sasl_bearer import (
    Mechanism,
    Responses,
    choose_mechanism,
    decode_challenge,
    error_text,
    initial_response,
)

_MICROSOFT = (
    "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0NjbFJD"
    "M0VvQUEBAQ=="
)


def test_xoauth2_is_that_of_the_page_of_microsoft() -> None:
    token = "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA"
    made = initial_response("XOAUTH2", "test@contoso.onmicrosoft.com", token, "h", 1)
    assert b64encode(made).decode() == _MICROSOFT


def test_oauthbearer_has_host_and_port_and_a_quoted_user() -> None:
    made = initial_response("OAUTHBEARER", "a=b,c@acme.test", "t.t", "smtp.acme.test", 587)
    assert made == b"n,a=a=3Db=2Cc@acme.test,\x01host=smtp.acme.test\x01port=587\x01auth=Bearer t.t\x01\x01"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("login", "xoauth2"), "XOAUTH2"),
        (("XOAUTH2", "OAUTHBEARER"), "XOAUTH2"),
        (("OAUTHBEARER", "PLAIN"), "OAUTHBEARER"),
        (("PLAIN",), "XOAUTH2"),
        ((), "XOAUTH2"),
    ],
)
def test_oauthbearer_is_used_where_only_that_is_offered(offered: tuple[str, ...], chosen: Mechanism) -> None:
    assert choose_mechanism(offered) == chosen


@pytest.mark.parametrize(("mechanism", "end"), [("XOAUTH2", b""), ("OAUTHBEARER", b"\x01")])
def test_an_error_is_kept_and_answered_as_the_mechanism_asks_for(mechanism: Mechanism, end: bytes) -> None:
    responses = Responses(mechanism, b"first")
    error = {"status": "401", "schemes": "bearer"}
    assert (responses(b""), responses(json.dumps(error).encode())) == (b"first", end)
    assert responses.error == '{"status": "401", "schemes": "bearer"}'


@pytest.mark.parametrize(
    "challenge", [b"", b"no json", b"[" * 99_999, b'{"a":' * 99_999, b"[1]", b"\xff", b64decode("AQ==")]
)
def test_a_challenge_that_is_no_error_has_no_text(challenge: bytes) -> None:
    assert error_text(challenge) == ""


@pytest.mark.parametrize("text", ["not base64", "ä", "=="])
def test_a_challenge_that_is_not_base64_has_no_octets(text: str) -> None:
    assert decode_challenge(text) == b""
