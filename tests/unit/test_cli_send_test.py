"""The result of a test mail: text, advice, exit code."""

from pathlib import Path

import pytest

from relay.cli.send_test import classified, verdict


@pytest.mark.parametrize(
    ("event", "outcome", "advice", "code"),
    [
        ({"event": "delivered", "reply": "250 2.0.0 Ok"}, "provider p works", "", 0),
        (
            {"event": "deferred", "reply": "454 4.7.0 AUTH was refused: 535 5.7.8 bad"},
            "provider p does not work: 454 4.7.0 AUTH was refused: 535 5.7.8 bad",
            "check username and password",
            77,
        ),
        (
            {"event": "deferred", "reply": "454 4.7.0 AUTH was refused: 454 4.7.0 try later"},
            "provider p does not work",
            "check username and password",
            75,
        ),
        (
            {"event": "deferred", "reply": "451 4.7.1 delivery is paused after: 451 4.4.1 no connection: refused"},
            "delivery is paused",
            "relay provider resume p",
            75,
        ),
        ({"event": "deferred", "reply": "451 4.4.1 no connection: refused"}, "no connection", "firewall", 75),
        ({"event": "deferred", "reply": "451 4.7.5 TLS failed: verify failed"}, "TLS failed", "certificate", 75),
        ({"event": "bounced", "reply": "550 5.1.1 no such user"}, "refused it: 550 5.1.1", "as explained {x}", 69),
        (
            {"event": "waiting", "release_at": "2030-01-01T00:00:00Z"},
            "no capacity before 2030",
            "limits are used up",
            75,
        ),
        ({}, "no outcome in time", "relay queue list", 75),
    ],
)
def test_each_event_has_its_advice_and_exit_code(event: dict[str, str], outcome: str, advice: str, code: int) -> None:
    text, action, exit_code = verdict(event, "p", "as explained {x}")
    assert outcome in text
    assert advice in action
    assert exit_code == code


def test_direct_delivery_has_its_name() -> None:
    assert verdict({"event": "delivered"}, "direct", "")[0] == "direct delivery works"


def test_without_advice_the_guidance_of_the_category_is_given(tmp_path: Path) -> None:
    known = classified({"reply": "550 5.1.1 no such user", "category": "bad_mailbox"}, tmp_path / "relay.toml")
    found = classified({"reply": "550 5.1.1 no such user"}, tmp_path / "relay.toml")
    assert found is not None
    assert known == found
    assert found.guidance.startswith("No such address.")
    assert classified({}, tmp_path / "relay.toml") is None


def test_the_guidance_of_a_rule_comes_before_the_usual_advice() -> None:
    event = {"event": "deferred", "reply": "454 4.7.0 AUTH was refused: 535 5.7.139 disabled"}
    assert verdict(event, "p", "switch it on", is_exact=True)[1:] == ("switch it on", 77)
