"""Alert mails have reply, guidance and commands, and avoid the paused provider."""

from email import message_from_bytes
from email.header import decode_header, make_header

import pytest

from relay.app.alerts import Alert, AlertRoute, alert_message, alert_providers, lane_paused, store_recovered

NOW = 1_800_000_000.0

ROUTE = AlertRoute("relay.test", "postmaster@relay.test", ("op@acme.test", "two@other.test"), ("newsletter", "backup"))


@pytest.mark.parametrize(
    ("providers", "avoid", "expected"),
    [
        (("newsletter",), "newsletter", ("direct",)),
        (("newsletter", "backup"), "newsletter", ("backup", "direct")),
        (("newsletter",), "", ("newsletter", "direct")),
        (("direct",), "newsletter", ("direct",)),
        ((), "", ("direct",)),
    ],
)
def test_the_paused_provider_is_avoided(providers: tuple[str, ...], avoid: str, expected: tuple[str, ...]) -> None:
    assert alert_providers(providers, avoid) == expected


def test_an_alert_is_local_mail_with_a_null_reverse_path() -> None:
    accepted = alert_message(lane_paused("provider:newsletter", "relay_auth", "535 no", "Check it."), ROUTE, "ID", NOW)
    message, entries = accepted.message, accepted.entries
    assert (message.reverse_path, message.policy.provider) == ("", "backup")
    assert message.policy.fallback_providers == ("direct",)
    assert [(one.recipient, one.lane) for one in entries] == [
        ("op@acme.test", "provider:backup"),
        ("two@other.test", "provider:backup"),
    ]
    assert message.metadata == {"alert": "paused provider:newsletter"}
    mail = message_from_bytes(accepted.content)
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Subject"] == "[relay relay.test] provider newsletter is paused: 535 no"
    text = mail.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert b"relay provider resume newsletter" in text
    assert b"What to do:  Check it." in text
    assert b"relay_auth" in text


def test_received_text_adds_no_header_and_no_control_characters() -> None:
    alert = Alert("c", "näh\r\nBcc: x@evil.test " + "x" * 300, "line\x1b[2J\r\n.\r\nmore")
    accepted = alert_message(alert, ROUTE, "ID", NOW)
    mail = message_from_bytes(accepted.content)
    assert mail["Bcc"] is None
    subject = str(make_header(decode_header(mail["Subject"])))
    assert subject.startswith("[relay relay.test] näh")
    assert len(subject) <= 150
    assert b"\x1b" not in accepted.content
    assert b"\r\n" in accepted.content
    assert accepted.content.count(b"\n") == accepted.content.count(b"\r\n")


def test_destinations_with_the_same_category_share_a_cause() -> None:
    one, two = (lane_paused(f"mx:{name}.test", "blocked", "554 5.7.1 no", "Delist.") for name in ("a", "b"))
    assert one.cause == two.cause
    assert one.avoid == ""
    assert "delivery to a.test is paused" in one.subject
    assert lane_paused("provider:x", "blocked", "", "").cause != lane_paused("provider:y", "blocked", "", "").cause


def test_a_store_that_works_again() -> None:
    alert = store_recovered(75.4, "disk I/O error")
    assert "75 seconds: disk I/O error" in alert.subject
    assert "No accepted mail was lost" in alert.text
