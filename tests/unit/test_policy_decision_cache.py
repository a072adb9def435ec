"""Decisions that are kept for a sender are those that would be made anew."""

from itertools import product

import pytest

from relay.mail.transaction import Envelope
from relay.policy import decision_cache
from relay.policy.decide import Acceptance, Rejection, decide
from relay.policy.decision_cache import DecisionCache
from tests.unit.policy_helpers import BILLING, CREDENTIALS, NOW, PROVIDERS, SECRET, facts, session, settings

ALL_SETTINGS = (
    settings(),
    settings(**BILLING, limits={"unlisted_hourly": 3}),
    settings(credentials={"app1": SECRET | {"sandbox": True}, "app2": SECRET | {"domains": ["acme.test"]}}),
    settings(
        **PROVIDERS,
        credentials=CREDENTIALS,
        listener=[{"name": "in", "kind": "inbound", "address": "127.0.0.1:0"}],
        domains={"acme.test": {"reply_domain": "r.acme.test", "provider": "news", "bcc": ["copy@acme.test"]}},
        identities={"app@acme.test": {"forward_to": ["a@b.test"]}, "billing@acme.test": {"reply_to": "x@acme.test"}},
    ),
)

HEADERS = (
    (),
    ("From: billing@acme.test",),
    ("From: Billing@ACME.test, app@acme.test",),
    ("From: x@other.test", "Sender: billing@acme.test"),
    ("From: app@acme.test", "Sender: billing@acme.test"),
    ("From: none",),
    ("DKIM-Signature: v=1",),
    ("List-Id: <l.acme.test>",),
    ("Precedence: bulk", "List-Unsubscribe: <https://a.test>"),
    ("Reply-To: r@acme.test",),
    ("X-Relay-Campaign: spring",),
    ("X-Relay-Provider: news",),
    ("X-Relay-Sandbox: yes",),
    ("X-Relay-Send-At: 2027-01-16T09:00:00Z",),
    ("X-PM-Tag: a",),
)

SESSIONS = [
    session(client, credential)
    for client, credential in product(("127.0.0.1", "2001:db8::1"), ("", "app1", "app2", "gone"))
]


def test_they_are_the_decisions_made_anew() -> None:
    cache = DecisionCache()
    cases = product(ALL_SETTINGS, HEADERS, SESSIONS, (Envelope("app@acme.test"), Envelope("")))
    for of, lines, client, envelope in [*cases] * 2:
        found = facts(*lines)
        assert cache.decide(of, client, envelope, found, NOW) == decide(of, client, envelope, found, NOW)


def test_they_are_made_once_and_do_not_outlast_the_settings() -> None:
    cache, envelope = DecisionCache(), Envelope("app@acme.test")
    before, after = settings(), settings(**PROVIDERS, defaults={"provider": "news"})
    first = cache.decide(before, session(), envelope, facts(), NOW)
    assert cache.decide(before, session(), envelope, facts(), NOW) is first
    changed = cache.decide(after, session(), envelope, facts(), NOW)
    assert isinstance(changed, Acceptance)
    assert changed.policy.provider == "news"
    assert cache.decide(before, session(), envelope, facts(), NOW) == first


def test_each_message_is_refused_by_its_own_header() -> None:
    cache, of, envelope = DecisionCache(), settings(), Envelope("app@acme.test")
    assert isinstance(cache.decide(of, session(), envelope, facts(), NOW), Acceptance)
    looping = facts("From: app@acme.test", *["Received: x"] * 100)
    assert isinstance(cache.decide(of, session(), envelope, looping, NOW), Rejection)


def test_few_are_kept_and_none_of_a_long_author(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_cache, "_MAX_KNOWN", 3)
    cache, of, envelope = DecisionCache(), settings(), Envelope("app@acme.test")
    for number in range(10):
        cache.decide(of, session(), envelope, facts(f"From: a{number}@acme.test"), NOW)
        assert len(cache._known(of)) <= 3
    kept = dict(cache._known(of))
    cache.decide(of, session(), envelope, facts(f"From: {'a' * 400}@acme.test"), NOW)
    assert cache._known(of) == kept
