"""What leaves verifies: real and odd messages, rewritten and signed, before three independent verifiers.

A sample is judged by default, everything with RELAY_FIDELITY=all.
"""

import os
import re
from pathlib import Path

import pytest

from relay.domains.relay_keys import Keys
from relay.mail.dot_stuffing import normalise
from relay.mail.queue_id import queue_id
from relay.mailauth.dkim_keys import SigningKey, generate_key, load_key
from relay.render.message import RenderInput
from relay.render.message_policy import MessagePolicy
from relay.render.render import render
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import Keyring
from tests.dkim_verifiers import dkimpy, mail_dkim, opendkim
from tests.shared import shared

WHOLE = os.environ.get("RELAY_FIDELITY") == "all"

DATE = re.compile(rb"(?im)^date[ \t]*:")

AUTHOR = re.compile(rb"(?im)^from[ \t]*:")


@pytest.fixture(scope="module")
def keys() -> tuple[SigningKey, SigningKey]:
    """An RSA and an Ed25519 key."""
    rsa = load_key(generate_key("rsa-sha256"), "acme.test", "rsa")
    return rsa, load_key(generate_key("ed25519-sha256"), "acme.test", "ed")


def rendered(path: Path, keys: tuple[SigningKey, ...], *, eight_bit: bool) -> bytes:
    """Return the message as it leaves, with the fields that accepting adds."""
    content = normalise(path.read_bytes())
    added = b"Received: from app by relay.test; Wed, 25 Nov 2026 17:20:09 +0000\r\n"
    if not DATE.search(content.partition(b"\r\n\r\n")[0]):
        added += b"Date: Wed, 25 Nov 2026 17:20:09 +0000\r\n"
    policy = MessagePolicy("acme.test", tracking=Tracking(base_url="https://t.acme.test"), added_fields=added)
    stored = RenderInput(queue_id(1_764_000_000.0, 1), 1_764_000_000.0, "news@acme.test", content, policy)
    (rendering,) = render(stored, [0], Keys(Keyring((("k1", bytes(32)),)), {"acme.test": keys}), eight_bit=eight_bit)
    return rendering.content


def sample(every: int) -> list[Path]:
    """Return the messages that can be signed and that dkimpy can read the header of."""
    found = sorted(shared("data/fidelity/eml").glob("*.eml"))[:: 1 if WHOLE else every]
    return [path for path in found if is_readable(normalise(path.read_bytes()))]


def is_readable(content: bytes) -> bool:
    """Tell whether the header is a header to strict verifiers, with one author."""
    head = content.partition(b"\r\n\r\n")[0]
    lines = head.split(b"\r\n")
    return len(AUTHOR.findall(head)) == 1 and all(re.match(rb"[!-9;-~]+:|[ \t]+\S", line) for line in lines)


@pytest.mark.parametrize("eight_bit", [True, False])
def test_dkimpy_verifies_rendered_mail(keys: tuple[SigningKey, SigningKey], eight_bit: bool) -> None:
    wrong = [
        path.name for path in sample(10) if dkimpy(rendered(path, keys, eight_bit=eight_bit), keys) != [True, True]
    ]
    assert wrong == []


def test_opendkim_verifies_rendered_mail(keys: tuple[SigningKey, SigningKey], tmp_path: Path) -> None:
    """It says nothing about messages whose header breaks RFC 5322 (a field twice that may be there once)."""
    paths = sample(60)
    verdicts = {path.name: opendkim(rendered(path, keys[:1], eight_bit=True), keys[:1], tmp_path) for path in paths}
    wrong = {name: verdict for name, verdict in verdicts.items() if verdict and verdict["rsa"] != "pass"}
    assert wrong == {}
    assert sum(not verdict for verdict in verdicts.values()) <= len(paths) // 25


def test_mail_dkim_verifies_rendered_mail(keys: tuple[SigningKey, SigningKey], tmp_path: Path) -> None:
    wrong = {}
    for path in sample(60):
        verdict = mail_dkim(rendered(path, keys[:1], eight_bit=True), keys[:1], tmp_path)
        if verdict.get("rsa") != "pass":
            wrong[path.name] = verdict
    assert wrong == {}
