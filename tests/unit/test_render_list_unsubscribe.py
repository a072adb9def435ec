"""Campaign mail offers to unsubscribe: when policy says so, and that it is signed and the reader's own."""

import re
from dataclasses import replace

import dkim
import pytest

from relay.config.settings import Settings
from relay.domains.relay_keys import Keys
from relay.mail.queue_id import queue_id
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key
from relay.policy.decide import exclusion_scope, list_unsubscribe_of
from relay.policy.message_facts import parse_facts
from relay.render.message import RenderInput
from relay.render.message_policy import MessagePolicy
from relay.render.render import render
from relay.rewrite.options import ListUnsubscribe
from relay.rewrite.tokens import Keyring, Kind, Token, verify_token
from relay.suppression.exclusion import ExclusionScope

RING = Keyring((("k1", b"k" * 32),))

QUEUE_ID = queue_id(1_700_000_000.0, 1)

OFFERED = ListUnsubscribe("https://t.acme.test", "reply.acme.test")

CONTENT = b"From: a@acme.test\r\nX-Relay-Campaign: spring\r\nSubject: hello\r\n\r\nHello\r\n"

POLICY = MessagePolicy("acme.test", list_unsubscribe=OFFERED, added_fields=b"Received: from x\r\n")

STORED = RenderInput(QUEUE_ID, 1_700_000_000.0, "app@acme.test", CONTENT, POLICY)


def settings(**domain: object) -> Settings:
    table = {"tracking": {"base_url": "https://t.acme.test"}, "reply_domain": "reply.acme.test", **domain}
    return Settings.model_validate({"server": {"hostname": "relay.test"}, "domains": {"acme.test": table}})


def test_each_recipient_gets_fields_of_its_own() -> None:
    assert POLICY.is_per_recipient
    assert not replace(POLICY, list_unsubscribe=None).is_per_recipient
    for number, rendering in enumerate(render(STORED, [0, 1], Keys(RING), eight_bit=True)):
        (page,) = re.findall(rb"List-Unsubscribe: <https://t\.acme\.test/u/([\w-]+)>,\r\n\t<mailto:", rendering.content)
        assert verify_token(RING, Kind.UNSUBSCRIBE, page.decode()) == Token(Kind.UNSUBSCRIBE, QUEUE_ID, number)
        assert rendering.content.endswith(b"Received: from x\r\nFrom: a@acme.test\r\nSubject: hello\r\n\r\nHello\r\n")


def test_a_copy_offers_nothing() -> None:
    (rendering,) = render(replace(STORED, policy=replace(POLICY, copies=(1,))), [1], Keys(RING), eight_bit=True)
    assert b"List-Unsubscribe" not in rendering.content


def test_the_signature_covers_the_fields_and_one_more_of_each() -> None:
    key = load_key(generate_key("ed25519-sha256"), "acme.test", "s1")
    (rendering,) = render(STORED, [0], Keys(RING, {"acme.test": (key,)}), eight_bit=True)

    def verifies(content: bytes) -> bool:
        record = dns_record(key).encode()
        return bool(dkim.verify(content, dnsfunc=lambda name, timeout=5: record))  # type: ignore[no-untyped-call]

    assert verifies(rendering.content)
    assert not verifies(rendering.content.replace(b"/u/", b"/u/x"))
    assert not verifies(b"List-Unsubscribe: <https://evil.test/>\r\n" + rendering.content)
    assert not verifies(b"List-Unsubscribe-Post: no\r\n" + rendering.content)


@pytest.mark.parametrize(
    ("header", "offered"),
    [
        (b"X-Relay-Campaign: spring\r\n", OFFERED),
        (b"X-Relay-Campaign: spring\r\nX-Relay-Track: none\r\n", OFFERED),
        (b"", None),
        (b"X-Relay-Campaign: spring\r\nLIST-unsubscribe: <https://acme.test/u>\r\n", None),
        (b"X-Relay-Campaign: spring\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", None),
        (b"X-Relay-Campaign: spring\r\nDKIM-Signature: v=1; d=acme.test\r\n", None),
    ],
)
def test_only_campaign_mail_that_does_not_say_it_itself(header: bytes, offered: ListUnsubscribe | None) -> None:
    facts = parse_facts(header + b"From: a@acme.test\r\n\r\n")
    assert list_unsubscribe_of(settings(), "a@acme.test", facts) == offered


def test_it_needs_a_base_url_but_neither_opens_nor_clicks() -> None:
    facts = parse_facts(CONTENT)
    off = settings(tracking={"opens": False, "clicks": False, "base_url": "https://t.acme.test"}, reply_domain="")
    assert list_unsubscribe_of(off, "a@acme.test", facts) == ListUnsubscribe("https://t.acme.test")
    nowhere = Settings.model_validate({"server": {"hostname": "relay.test"}, "tracker": {"base_url": ""}})
    assert list_unsubscribe_of(nowhere, "a@acme.test", facts) is None


def test_the_scope_of_exclusion_is_the_domains() -> None:
    of = settings(exclusion="global")
    policy = MessagePolicy(domain="acme.test", identity="a@acme.test")
    expected = ExclusionScope("acme.test", "spring", of.exclusions, "a@acme.test")
    assert exclusion_scope(of, policy, "spring") == expected
    assert (of.exclusions.of("acme.test"), of.exclusions.of("other.test")) == ("global", "campaign")
    inherited = Settings.model_validate({"defaults": {"exclusion": "domain"}, "domains": {"acme.test": {}}}).exclusions
    assert (inherited.of("acme.test"), inherited.of("other.test")) == ("domain", "domain")
