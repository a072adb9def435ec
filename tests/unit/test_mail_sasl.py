from base64 import b64encode

import pytest

from relay.mail.reply import Reply
from relay.mail.sasl import MALFORMED, Login, Start, decode_response, encode_challenge, parse_auth, parse_plain


def test_mechanisms_are_case_insensitive() -> None:
    assert parse_auth("plain AGEAYg==") == Start("PLAIN", "AGEAYg==")
    assert parse_auth("Login") == Start("LOGIN", None)


@pytest.mark.parametrize(("argument", "code"), [("", 501), ("PLAIN a b", 501), ("CRAM-MD5", 504), ("FROB xx", 504)])
def test_a_fault_of_the_command_is_a_reply(argument: str, code: int) -> None:
    reply = parse_auth(argument)
    assert isinstance(reply, Reply)
    assert (reply.code, reply.status) == (code, "5.5.4")


def test_a_plain_response_has_three_parts() -> None:
    assert parse_plain("\0ann\0secret") == Login("ann", "secret")
    assert parse_plain("ann\0ann\0secret") == Login("ann", "secret")
    assert parse_plain("boss\0ann\0secret") == Login("ann", "secret", "boss")
    assert parse_plain("\0\0") == Login("", "")
    assert [parse_plain(text) for text in ("nonul", "a\0b\0c\0d", "")] == [MALFORMED] * 3


def test_responses_are_strict_base64_of_utf8() -> None:
    assert decode_response(b64encode("ünï".encode()).decode()) == "ünï"
    assert decode_response("=") == ""
    assert [decode_response(text) for text in ("!!!", "AGE", "YQ== ", "/////w==", "YQ==YQ==")] == [MALFORMED] * 5


def test_challenges_are_the_usual_ones() -> None:
    assert [encode_challenge(text) for text in ("Username:", "Password:")] == ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"]


def test_secrets_do_not_show_in_representations() -> None:
    assert "hunter2" not in repr(Login("ann", "hunter2")) + repr(Start("PLAIN", "hunter2"))
