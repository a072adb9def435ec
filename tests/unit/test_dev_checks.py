"""Checks of a rendered mail: how readers unsubscribe."""

from relay.dev.checks import unsubscribe_checks

MAIL = b"From: a@acme.test\r\nSubject: hi\r\n\r\nHello\r\n"

SIGNED = (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=acme.test; s=s1; h=From:List-Unsubscribe:\r\n List-Unsubscribe-Post; b=x\r\n"
)


def said(content: bytes) -> list[tuple[str, str]]:
    return [(one.state, one.text.split(":")[0].split(" (")[0]) for one in unsubscribe_checks(content)]


def test_one_click_with_a_signature_is_good() -> None:
    fields = b"List-Unsubscribe: <https://t.acme.test/u/x>, <mailto:x@acme.test>\r\n"
    post = b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    assert [state for state, _ in said(SIGNED + fields + post + MAIL)] == ["ok", "ok", "ok"]


def test_what_is_missing_is_named() -> None:
    assert said(MAIL) == [("wait", "There is no List-Unsubscribe field. Mail without X-Relay-Campaign needs none.")]
    found = said(b"List-Unsubscribe: <https://t.acme.test/u/x>\r\n" + MAIL)
    assert found[1] == ("bad", "List-Unsubscribe-Post")
    assert found[2][0] == "wait"
    assert found[3] == ("bad", "No DKIM signature covers list-unsubscribe")
    assert said(b"List-Unsubscribe: nowhere\r\n" + MAIL)[0] == ("bad", "It has no address.")
