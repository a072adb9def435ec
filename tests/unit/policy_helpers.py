"""Settings, sessions and decisions for the tests of the policy."""

from typing import Any

from relay.config.settings import Settings
from relay.limits.principal import Principal, principal_of
from relay.mail.transaction import Envelope, Session
from relay.policy.decide import Acceptance, Rejection, decide
from relay.policy.message_facts import MessageFacts, parse_facts

NOW = 1_800_000_000.0

SECRET = {"secret_hash": "blake2b:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}

CREDENTIALS = {"app1": SECRET, "app2": SECRET}

BILLING = {"identities": {"billing@acme.test": {"credentials": ["app1"]}}, "credentials": CREDENTIALS}

PROVIDERS = {
    "provider": [
        {"name": "news", "host": "smtp.news.test", "daily_limit": 1000},
        {"name": "backup", "host": "smtp.backup.test"},
    ]
}


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"server": {"hostname": "relay.test"}, **sections})


def session(client: str = "127.0.0.1", credential: str = "") -> Session:
    return Session("submission", "submission", client, credential=credential)


def facts(*lines: str) -> MessageFacts:
    """Read the facts of a message with these header fields, and a From where they have none."""
    lines = lines if any(line.lower().startswith("from:") for line in lines) else ("From: app@acme.test", *lines)
    return parse_facts("".join(f"{line}\r\n" for line in (*lines, "", "hello")).encode())


def principal(of: Settings, author: str) -> Principal:
    return principal_of(of, author, "", "127.0.0.1")


def decided(
    of: Settings, *lines: str, reverse_path: str = "app@acme.test", credential: str = ""
) -> Acceptance | Rejection:
    return decide(of, session(credential=credential), Envelope(reverse_path), facts(*lines), NOW)


def route(of: Settings, *lines: str, **more: str) -> Acceptance:
    found = decided(of, *lines, **more)
    assert isinstance(found, Acceptance)
    return found


def refusal(of: Settings, *lines: str, **more: str) -> str:
    found = decided(of, *lines, **more)
    assert isinstance(found, Rejection)
    return str(found.reply)
