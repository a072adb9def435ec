"""Frames between the relay and its renderers: a request comes back whole, and brings the keys of its message only."""

import dataclasses
import struct

import pytest

from relay.domains.relay_keys import Keys
from relay.mail.queue_id import queue_id
from relay.mailauth.dkim_keys import generate_key, load_key
from relay.render.frames import (
    LENGTH,
    MAX_KEPT,
    NO_TOKENS,
    Failed,
    FrameError,
    Request,
    answer_frame,
    keys_for,
    largest_answer,
    read_answer,
    read_request,
    request_frame,
)
from relay.render.message import RenderedContent, RenderInput
from relay.render.message_policy import MessagePolicy
from relay.rewrite.options import ListUnsubscribe, Tracking
from relay.rewrite.tokens import Keyring

ACME, OTHER = (load_key(generate_key("ed25519-sha256"), domain, "s1") for domain in ("acme.test", "other.test"))
KEYS = Keys(Keyring((("k2", b"n" * 32), ("k1", b"o" * 32))), {"acme.test": (ACME,), "other.test": (OTHER,)})
POLICY = MessagePolicy(
    domain="acme.test",
    identity="a@acme.test",
    provider="news",
    fallback_providers=("backup", "direct"),
    reply_to=("jörg@acme.test",),
    added_fields=b"Received: here\r\n",
    unsubscribe_url="https://t.acme.test",
    bounce_address="bounces@acme.test",
    unproven_sender=True,
    pixel_text="%open%",
    unsubscribe_text="[leave]",
    dialects=("sendgrid", "ses"),
    is_signed=False,
    needs_tls=True,
    tags_were_a_list=True,
    ignores_lists=True,
    sandbox=True,
    would_leave_by="news",
    simulated=(0, 2),
    original_to=("ada@reader.test", ""),
    send_at=1_800_000_000.5,
    tracking=Tracking(base_url="https://t.acme.test", exclude_hosts=("a.test", "*.b.test"), pixel="start"),
    return_path="bounce.acme.test",
    author_name="Jörg “J” Müller",
    reply_domain="reply.acme.test",
    copies=(1, 3),
    forward_domain="forward.acme.test",
    list_unsubscribe=ListUnsubscribe("https://t.acme.test", "reply.acme.test"),
)
STORED = RenderInput(
    queue_id=queue_id(1_700_000_000.0, 1),
    created_at=1_700_000_000.25,
    reverse_path="jörg\udcff@acme.test",
    content=b"From: a@acme.test\r\n\r\n\x00\xff\r\n",
    policy=POLICY,
)


def body(frame: bytes) -> bytes:
    assert int.from_bytes(frame[:LENGTH], "big") == len(frame) - LENGTH
    return frame[LENGTH:]


def frame_of(*strings: bytes) -> bytes:
    """A frame without its length."""
    return struct.pack(f">{1 + len(strings)}I", len(strings), *map(len, strings)) + b"".join(strings)


def test_every_field_of_a_request_comes_through() -> None:
    for field in dataclasses.fields(MessagePolicy):
        assert getattr(POLICY, field.name) != field.default, f"{field.name}: give it another value than its default"
    request = Request(STORED, [0, 3, 2**28 - 1], True, KEYS)
    assert read_request(body(b"".join(request_frame(request)))) == request
    plain = Request(RenderInput("0" * 13, 0.0, "", b""), [], False, Keys(NO_TOKENS))
    assert read_request(body(b"".join(request_frame(plain)))) == plain
    assert hash(read_request(body(b"".join(request_frame(request)))).message) == hash(STORED)


def test_a_message_brings_the_keys_of_its_domain_and_the_newest_token_key() -> None:
    assert keys_for(POLICY, KEYS) == Keys(Keyring((("k2", b"n" * 32),)), {"acme.test": (ACME,)})
    assert keys_for(dataclasses.replace(POLICY, domain="absent.test"), KEYS).dkim == {}


@pytest.mark.parametrize("kept", ["tracking", "reply_domain", "list_unsubscribe", "unsubscribe_url"])
def test_a_message_without_tokens_brings_no_token_key(kept: str) -> None:
    bare = dataclasses.replace(POLICY, tracking=None, reply_domain="", list_unsubscribe=None, unsubscribe_url="")
    assert keys_for(bare, KEYS).tokens == NO_TOKENS
    assert keys_for(dataclasses.replace(bare, **{kept: getattr(POLICY, kept)}), KEYS).tokens != NO_TOKENS


def test_a_failure_comes_through() -> None:
    assert read_answer(body(answer_frame(Failed("ValueError: x"))), 3) == Failed("ValueError: x")


def test_a_deeply_nested_head_is_a_frame_error() -> None:
    head = b"[" * 500_000
    with pytest.raises(FrameError):
        read_answer(frame_of(head), 1)


@pytest.mark.parametrize("sizes", [b"", bytes(3), bytes(8), b"\0\0\0\x08", b"\xff" * 4])
def test_an_end_that_the_message_does_not_have_is_a_frame_error(sizes: bytes) -> None:
    with pytest.raises(FrameError):
        read_answer(frame_of(b"[{}]", sizes, b"x"), 1, b"content")


def test_notes_of_any_size_come_through() -> None:
    for count in (1, MAX_KEPT, 5000):
        rendered = [RenderedContent(b"x", {"skipped": ["x"] * count})]
        assert read_answer(body(answer_frame(rendered)), 1) == rendered


def test_the_largest_answer_grows_with_the_message() -> None:
    small, large = (Request(RenderInput("0" * 13, 0.0, "", bytes(size)), [0, 1], False, KEYS) for size in (10, 10**6))
    assert largest_answer(small) < 2 * 1024 * 1024
    assert largest_answer(large) > 2 * 64 * 10**6


def test_messages_with_equal_options_share_them_and_nothing_else() -> None:
    first = Request(STORED, [0], True, KEYS)
    policy = dataclasses.replace(POLICY, added_fields=b"Received: there\r\n")
    second = dataclasses.replace(first, message=dataclasses.replace(STORED, content=b"other", policy=policy))
    third = dataclasses.replace(
        first, message=dataclasses.replace(STORED, policy=dataclasses.replace(POLICY, send_at=None))
    )
    for request in (first, second, third, first):
        assert read_request(body(b"".join(request_frame(request)))) == request
