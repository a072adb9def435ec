"""Rendering: what leaves for one recipient, and that it is the same whenever it is asked for."""

import re
from dataclasses import replace
from typing import Any

import dkim
import pytest

from relay.domains.relay_keys import Keys
from relay.mail.queue_id import queue_id
from relay.mail.srs import srs_decode
from relay.mailauth.dkim_keys import SigningKey, dns_record, generate_key, load_key
from relay.render.message import RenderInput, outgoing_content, render_unmodified, reverse_path_for
from relay.render.message_policy import MessagePolicy
from relay.render.render import MAX_HTML, explain, render
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import Keyring, Kind, Token, verify_address_token

RING = Keyring((("k1", b"k" * 32),))

KEYS = Keys(RING)

TRACKING = Tracking(base_url="https://t.acme.test")

QUEUE_ID = queue_id(1_700_000_000.0, 1)

HEADER = b"From: a@acme.test\r\nSubject: hello\r\nContent-Type: text/html\r\n"

BODY = b'\r\n<html><body><a href="https://shop.test/">x</a></body></html>\r\n'

POLICY = MessagePolicy("acme.test", tracking=TRACKING, added_fields=b"Received: from x\r\n")

STORED = RenderInput(QUEUE_ID, 1_700_000_000.0, "app@acme.test", HEADER + BODY, POLICY)

PLAIN = STORED.without_tracking()


def under(policy: MessagePolicy, **changes: Any) -> RenderInput:
    """Return the stored message under this policy with changes."""
    return replace(STORED, policy=replace(policy, **changes))


@pytest.fixture(scope="module")
def signing() -> SigningKey:
    return load_key(generate_key("ed25519-sha256"), "acme.test", "s1")


def verifies(content: bytes, key: SigningKey) -> bool:
    record = dns_record(key).encode()
    return bool(dkim.verify(content, dnsfunc=lambda name, timeout=5: record))  # type: ignore[no-untyped-call]


def test_without_tracking_nothing_but_our_fields_is_added() -> None:
    (rendering,) = render(PLAIN, [0], KEYS, eight_bit=True)
    assert rendering.content == b"Received: from x\r\n" + HEADER + BODY
    assert rendering.reverse_path == "app@acme.test"
    assert rendering.notes == {"tracking": "off"}


def test_tracking_gives_each_recipient_bytes_of_its_own() -> None:
    first, second = render(STORED, [0, 1], KEYS, eight_bit=True)
    assert first.content != second.content
    assert first.notes == {"pixel": True, "links": 1, "tracked": 1}
    links = [re.findall(rb"https://t\.acme\.test/[co]/([\w-]+)", one.content) for one in (first, second)]
    assert [len(one) for one in links] == [2, 2]
    assert not set(links[0]) & set(links[1])


def test_it_can_be_repeated_with_the_same_result(signing: SigningKey) -> None:
    keys = replace(KEYS, dkim={"acme.test": (signing,)})
    together = render(STORED, [0, 1, 2], keys, eight_bit=True)
    assert together == [render(STORED, [number], keys, eight_bit=True)[0] for number in range(3)]


class TestRemovedFields:
    @pytest.mark.parametrize(
        "hidden",
        [
            b"Bcc: secret@x.test\r\n",
            b"BCC:\r\n secret@x.test,\r\n\tother@x.test\r\n",
            b"Resent-Bcc: secret@x.test\r\n",
            b"X-Relay-Tag: secret\r\n",
            b"x-relay-meta-a: b\r\n\tsecret\r\n",
            b"X-RELAY-Unknown: secret\r\n",
            b"X-Relay-Tag: secret\r\nBcc: secret@x.test\r\n",
        ],
    )
    def test_hidden_recipients_and_instructions_do_not_leave(self, hidden: bytes) -> None:
        for content in (hidden + HEADER, HEADER + hidden, HEADER.replace(b"Subject", hidden + b"Subject")):
            assert outgoing_content(replace(PLAIN, content=content + BODY)) == b"Received: from x\r\n" + HEADER + BODY

    @pytest.mark.parametrize("kept", [b"X-Relayed: yes\r\n", b"Bccx: a\r\n", b"X-Relay: a\r\n", b"Subject: Bcc: a\r\n"])
    def test_others_stay(self, kept: bytes) -> None:
        assert (
            outgoing_content(replace(PLAIN, content=kept + HEADER + BODY))
            == b"Received: from x\r\n" + kept + HEADER + BODY
        )

    def test_the_body_is_left_alone(self) -> None:
        body = b"\r\nBcc: told@x.test\r\nX-Relay-Tag: told\r\n"
        assert outgoing_content(replace(PLAIN, content=HEADER + body)).endswith(body)


class TestReversePath:
    def test_a_return_path_is_signed_for_the_recipient(self) -> None:
        (rendering,) = render(under(POLICY, return_path="bounces.acme.test"), [4], KEYS, eight_bit=True)
        token, _, domain = rendering.reverse_path.partition("@")
        assert domain == "bounces.acme.test"
        assert verify_address_token(RING, Kind.BOUNCE, token) == Token(Kind.BOUNCE, QUEUE_ID, 4)
        assert len(token) <= 64

    def test_the_null_reverse_path_stays_null(self) -> None:
        for policy in ({"return_path": "bounces.acme.test"}, {"bounce_address": "bounces@acme.test"}):
            assert reverse_path_for(replace(under(POLICY, **policy), reverse_path=""), 0, RING) == ""

    def test_the_bounce_mailbox_is_the_reverse_path_of_all_recipients(self) -> None:
        message = under(POLICY, bounce_address="bounces@acme.test")
        assert {reverse_path_for(message, number, RING) for number in (0, 1)} == {"bounces@acme.test"}
        forwarded = under(POLICY, bounce_address="bounces@acme.test", forward_domain="reply.acme.test")
        assert reverse_path_for(forwarded, 0, RING).startswith("SRS0=")


class TestPerRecipient:
    @pytest.mark.parametrize(
        ("policy", "per_recipient"),
        [(PLAIN.policy, False), (POLICY, True), (replace(PLAIN.policy, return_path="bounces.acme.test"), True)],
    )
    def test_policies_with_tracking_differ_by_recipient(self, policy: MessagePolicy, per_recipient: bool) -> None:
        assert policy.is_per_recipient is per_recipient


class TestSignature:
    @pytest.mark.parametrize("algorithm", ["rsa-sha256", "ed25519-sha256"])
    @pytest.mark.parametrize("eight_bit", [True, False])
    def test_what_leaves_verifies(self, algorithm: str, eight_bit: bool) -> None:
        key = load_key(generate_key(algorithm), "acme.test", "s1")  # type: ignore[arg-type]
        stored = replace(STORED, content=HEADER + "\r\n<p>Grüße <a href='https://x.test/ä'>x</a></p>\r\n".encode())
        (rendering,) = render(stored, [0], Keys(RING, {"acme.test": (key,)}), eight_bit=eight_bit)
        assert rendering.content.startswith(b"DKIM-Signature: ")
        assert verifies(rendering.content, key)
        assert rendering.content.isascii() is not eight_bit
        assert not verifies(rendering.content.replace(b"hello", b"hullo"), key)

    def test_every_selector_signs(self, signing: SigningKey) -> None:
        keys = Keys(RING, {"acme.test": (signing, replace_selector("s2"))})
        (rendering,) = render(STORED, [0], keys, eight_bit=True)
        assert re.findall(rb"^DKIM-Signature:.*?\bs=(\w+);", rendering.content, re.DOTALL | re.MULTILINE) == [
            b"s1",
            b"s2",
        ]

    def test_another_domains_keys_do_not_sign(self, signing: SigningKey) -> None:
        (rendering,) = render(STORED, [0], Keys(RING, {"other.test": (signing,)}), eight_bit=True)
        assert b"DKIM-Signature" not in rendering.content


def replace_selector(selector: str) -> SigningKey:
    return load_key(generate_key("ed25519-sha256"), "acme.test", selector)


def test_untouched_is_what_came_and_says_why(signing: SigningKey) -> None:
    stored = replace(under(POLICY, return_path="bounces.acme.test"), content=b"Bcc: x@y.test\r\n" + HEADER + BODY)
    rendering = render_unmodified(stored, 3, Keys(RING, {"acme.test": (signing,)}), "it hung")
    assert rendering.notes == {"skipped": ["it hung"]}
    assert rendering.content == b"Received: from x\r\n" + HEADER + BODY
    token = rendering.reverse_path.removesuffix("@bounces.acme.test")
    assert verify_address_token(RING, Kind.BOUNCE, token) == Token(Kind.BOUNCE, QUEUE_ID, 3)


def test_explain_tells_what_became_of_each_link() -> None:
    rendering, rewritten = explain(STORED, 0, KEYS)
    assert rendering == render(STORED, [0], KEYS, eight_bit=True)[0]
    assert rewritten is not None
    assert [(one.target, one.tracked) for one in rewritten.links] == [("https://shop.test/", True)]
    assert explain(PLAIN, 0, KEYS)[1] is None


@pytest.mark.parametrize(
    "content", [b"", b"\r\n", b"no header", b"Content-Type: text/html", b"\r\n\r\n<a href='https://x.test'>x</a>"]
)
def test_anything_can_be_rendered(content: bytes) -> None:
    (rendering,) = render(replace(STORED, content=content), [0], KEYS, eight_bit=False)
    assert rendering.content.startswith(b"Received: from x\r\n")


class TestAuthorName:
    NAMED = under(PLAIN.policy, author_name="Acme Billing (Acme Ltd)")

    def test_the_name_of_the_identity_is_put_in_signed_and_reported(self, signing: SigningKey) -> None:
        keys = replace(KEYS, dkim={"acme.test": (signing,)})
        (rendering,) = render(under(self.NAMED.policy, tracking=TRACKING), [0], keys, eight_bit=True)
        assert b'\r\nFrom: "Acme Billing (Acme Ltd)" <a@acme.test>\r\n' in rendering.content
        assert rendering.notes["author_name"] == "added"
        assert verifies(rendering.content, signing)

    def test_a_name_that_is_there_stays(self) -> None:
        content = HEADER.replace(b"a@acme.test", b"Ann <a@acme.test>") + BODY
        (rendering,) = render(replace(self.NAMED, content=content), [0], KEYS, eight_bit=True)
        assert rendering.content == b"Received: from x\r\n" + content
        assert rendering.notes["author_name"] == "From has a name already"


class TestReplies:
    ANSWERED = under(POLICY, reply_domain="reply.acme.test", return_path="bounces.acme.test", copies=(2,))

    def test_each_recipient_gets_a_reply_address_of_its_own_and_the_signature_covers_it(
        self, signing: SigningKey
    ) -> None:
        keys = replace(KEYS, dkim={"acme.test": (signing,)})
        first, second = render(self.ANSWERED, [0, 1], keys, eight_bit=True)
        for number, one in enumerate((first, second)):
            (local,) = re.findall(rb"Reply-To: <(\w+)@reply\.acme\.test>\r\n", one.content)
            assert verify_address_token(RING, Kind.REPLY, local.decode()) == Token(Kind.REPLY, QUEUE_ID, number)
            assert one.notes["reply_tracking"] == "added"
            assert verifies(one.content, signing)
            assert not verifies(one.content.replace(local, local[::-1]), signing)

    def test_what_is_signed_already_stays_and_the_story_says_so(self) -> None:
        signed = replace(self.ANSWERED, content=b"DKIM-Signature: v=1\r\n" + STORED.content)
        (rendering,) = render(signed, [0], KEYS, eight_bit=True)
        assert rendering.notes["reply_tracking"] == "the message is signed already"
        assert b"Reply-To" not in rendering.content

    def test_a_copy_shows_nothing_of_tracking(self) -> None:
        tracked, copy = render(self.ANSWERED, [0, 2], KEYS, eight_bit=True)
        assert copy.content == b"Received: from x\r\n" + HEADER + BODY
        assert copy.notes == {"tracking": "off"}
        assert b"https://t.acme.test/o/" in tracked.content
        assert copy.reverse_path.endswith("@bounces.acme.test")


class TestPassedOn:
    FORWARD = RenderInput(
        QUEUE_ID,
        1_700_000_000.0,
        "ben@rcpt.test",
        b"X-Relay-Tag: theirs\r\nBcc: x@rcpt.test\r\n" + HEADER + BODY,
        MessagePolicy(forward_domain="reply.acme.test", added_fields=b"Received: from x\r\n"),
    )

    def test_it_leaves_as_it_came_under_a_reverse_path_of_ours(self) -> None:
        (rendering,) = render(self.FORWARD, [0], KEYS, eight_bit=True)
        assert rendering.content == b"Received: from x\r\n" + self.FORWARD.content
        assert rendering.reverse_path.endswith("=rcpt.test=ben@reply.acme.test")
        assert srs_decode([b"k" * 32], rendering.reverse_path, 1_700_000_000.0) == "ben@rcpt.test"
        assert not self.FORWARD.policy.is_per_recipient

    def test_the_null_reverse_path_stays_null(self) -> None:
        (rendering,) = render(replace(self.FORWARD, reverse_path=""), [0], KEYS, eight_bit=True)
        assert rendering.reverse_path == ""


def test_html_beyond_its_limit_is_signed_but_not_rewritten() -> None:
    body = b"<html><body><a href='https://x.test/'>x</a>" + b"<p>x</p>\r\n" * (MAX_HTML // 9) + b"</body></html>\r\n"
    content = b"From: a@acme.test\r\nContent-Type: text/html\r\n\r\n" + body
    policy = MessagePolicy("acme.test", tracking=Tracking(base_url="https://t.acme.test"))
    message = RenderInput("Q", 1_700_000_000.0, "a@acme.test", content, policy)
    (rendering,) = render(message, [0], Keys(Keyring((("k1", b"k" * 32),))), eight_bit=True)
    assert rendering.content == content
    assert rendering.notes["tracking"] == "off"
    assert "more than the" in str(rendering.notes["skipped"])
