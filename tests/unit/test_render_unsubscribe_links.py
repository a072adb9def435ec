"""Unsubscribe links in the body: each recipient's own in campaign mail, never tracked, left and reported elsewhere."""

import re
from dataclasses import replace

import pytest

from relay.config.settings import Settings
from relay.domains.relay_keys import Keys
from relay.mail.queue_id import queue_id
from relay.policy.decide import ReplyHandling, message_policy
from relay.policy.message_facts import parse_facts
from relay.render.frames import keys_for
from relay.render.message import Rendering, RenderInput
from relay.render.message_policy import MessagePolicy
from relay.render.render import explain, render
from relay.rewrite.links import Reason
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import Keyring, Kind, Token, verify_token

RING = Keyring((("k1", b"k" * 32),))

QUEUE_ID = queue_id(1_700_000_000.0, 1)

BASE = "https://t.acme.test"

HTML = (
    b"From: a@acme.test\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>"
    b'<a href="https://shop.test/">Shop</a> <a href="{{unsubscribe_url}}">Unsubscribe</a></body></html>\r\n'
)

PLAIN = b"From: a@acme.test\r\nContent-Type: text/plain\r\n\r\nLeave: %unsubscribe_url%\r\n"

TRACKED = MessagePolicy("acme.test", tracking=Tracking(base_url=BASE))

CAMPAIGN = replace(TRACKED, unsubscribe_url=BASE)


def rendered(content: bytes, policy: MessagePolicy, *numbers: int) -> list[Rendering]:
    stored = RenderInput(QUEUE_ID, 1_700_000_000.0, "a@acme.test", content, policy)
    return render(stored, numbers or (0,), Keys(RING), eight_bit=True)


def tokens(content: bytes) -> list[Token | None]:
    return [
        verify_token(RING, Kind.UNSUBSCRIBE, found.decode()) for found in re.findall(rb"acme\.test/u/([\w-]+)", content)
    ]


@pytest.mark.parametrize("policy", [CAMPAIGN, replace(CAMPAIGN, tracking=None)])
@pytest.mark.parametrize("content", [HTML, PLAIN])
def test_each_recipient_gets_a_link_of_its_own(content: bytes, policy: MessagePolicy) -> None:
    assert policy.is_per_recipient
    for number, one in enumerate(rendered(content, policy, 0, 1, 2)):
        assert tokens(one.content) == [Token(Kind.UNSUBSCRIBE, QUEUE_ID, number)]
        assert one.notes["unsubscribe_links"] == 1
        assert b"unsubscribe_url" not in one.content


def test_other_links_are_tracked_and_this_one_is_not() -> None:
    (one,) = rendered(HTML, CAMPAIGN)
    assert (one.notes["links"], one.notes["tracked"]) == (2, 1)
    assert one.content.count(b"https://t.acme.test/c/") == 1
    _, shown = explain(RenderInput(QUEUE_ID, 0.0, "a@acme.test", HTML, CAMPAIGN), 0, Keys(RING))
    assert shown is not None
    assert [link.reason for link in shown.links] == [Reason.TRACKED, Reason.PLACEHOLDER]


def test_a_copy_and_a_message_without_a_placeholder_stay() -> None:
    (copy,) = rendered(HTML, replace(CAMPAIGN, copies=(1,)), 1)
    assert b"{{unsubscribe_url}}" in copy.content
    assert "unsubscribe_links" not in copy.notes
    without = HTML.replace(b"{{unsubscribe_url}}", b"https://acme.test/leave")
    assert rendered(without, CAMPAIGN) == rendered(without, TRACKED)


@pytest.mark.parametrize("policy", [TRACKED, MessagePolicy("acme.test")])
@pytest.mark.parametrize("content", [HTML, PLAIN])
def test_transactional_mail_keeps_it_and_reports_it(content: bytes, policy: MessagePolicy) -> None:
    (one,) = rendered(content, policy)
    assert b"unsubscribe_url" in one.content
    (why,) = [text for text in one.notes["skipped"] if "placeholder" in text]  # type: ignore[attr-defined]
    assert why.startswith("unsubscribe placeholder: only campaign mail (X-Relay-Campaign)")


def test_mail_that_may_not_be_changed_keeps_it_and_reports_it() -> None:
    (one,) = rendered(b"DKIM-Signature: v=1; d=acme.test\r\n" + HTML, CAMPAIGN)
    assert one.notes["skipped"] == [
        "message carries a DKIM signature",
        "unsubscribe placeholder: message carries a DKIM signature",
    ]


def test_a_placeholder_in_base64_is_reported_without_tracking() -> None:
    content = b"From: a@acme.test\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    (one,) = rendered(content + b"e3t1bnN1YnNjcmliZV91cmx9fQ==\r\n", MessagePolicy("acme.test"))
    assert "skipped" in one.notes


def test_the_guard_of_tracking_keeps_the_link() -> None:
    stored = RenderInput(QUEUE_ID, 0.0, "a@acme.test", HTML, CAMPAIGN).without_tracking()
    (one,) = render(stored, [3], Keys(RING), eight_bit=True)
    assert tokens(one.content) == [Token(Kind.UNSUBSCRIBE, QUEUE_ID, 3)]


def test_the_renderer_gets_the_key_of_the_links() -> None:
    assert keys_for(replace(CAMPAIGN, tracking=None), Keys(RING)).tokens == RING
    assert keys_for(MessagePolicy("acme.test"), Keys(RING)).tokens != RING


@pytest.mark.parametrize(
    ("header", "base_url", "expected"),
    [
        (b"X-Relay-Campaign: spring\r\n", BASE, BASE),
        (b"X-Relay-Campaign: spring\r\nList-Unsubscribe: <https://acme.test/u>\r\n", BASE, BASE),
        (b"X-Relay-Campaign: spring\r\n", "", ""),
        (b"", BASE, ""),
    ],
)
def test_campaign_mail_of_a_domain_with_a_base_url_has_links(header: bytes, base_url: str, expected: str) -> None:
    settings = Settings.model_validate(
        {"server": {"hostname": "relay.test"}, "tracker": {"base_url": base_url, "address": ""}}
    )
    facts = parse_facts(header + b"From: a@acme.test\r\n\r\n")
    assert message_policy(settings, "a@acme.test", facts, ReplyHandling()).unsubscribe_url == expected
