"""The rewriter before the fidelity oracle: real and odd messages, judged by an independent parser of MIME and HTML.

The oracle and its messages are shared test data. It compares every byte, the trees html5lib builds, where every link
leads, and where the pixel stands. A sample is judged by default, everything with RELAY_FIDELITY=all.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.mail.queue_id import queue_id
from relay.rewrite.message import rewrite
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import Keyring, Kind, verify_token
from tests.shared import shared

RING = Keyring((("k1", b"k" * 32),))

QUEUE_ID = queue_id(1_764_000_000.0, 1)

BASE = "https://trk.test"

EVERY = 1 if os.environ.get("RELAY_FIDELITY") == "all" else 10

ALSO_JUDGED_TWICE = 4


@pytest.fixture(scope="module")
def checks() -> Iterator[Any]:
    """The oracle's module of checks."""
    folder = str(shared("fidelity"))
    for needed in ("html5lib", "ada_url"):
        pytest.importorskip(needed, reason=f"the fidelity oracle needs {needed}")
    sys.path.insert(0, folder)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield importlib.import_module("checks")
    finally:
        sys.path.remove(folder)
        sys.dont_write_bytecode = writes


def resolve(url: str, pixel: bool = False) -> tuple[int, str | None]:
    """Answer a tracking URL as the tracker would: a redirect, a picture, or not found."""
    letter, _, token = url.removeprefix(BASE + "/").partition("/")
    kind = Kind.OPEN if pixel else Kind.CLICK
    found = verify_token(RING, kind, token) if letter == kind else None
    if found is None:
        return 404, None
    return (200, "image/gif") if pixel else (302, found.target)


@pytest.mark.parametrize("pixel", ["end", "start"])
def test_every_check_passes(checks: Any, pixel: Any) -> None:
    tracking = Tracking(
        base_url=BASE, skip_sensitive=False, skip_visible_urls=False, skip_unsubscribe=False, pixel=pixel
    )
    failures: list[str] = []
    for number, path in enumerate(messages()):
        content = path.read_bytes()
        content += b"" if content.endswith(b"\r\n") else b"\r\n"
        result = rewrite(content, tracking, RING, QUEUE_ID, 0)
        snippet = path.name.startswith(("h5-", "odd-html-unclosed"))
        context = checks.Ctx([BASE + "/"], resolve, snippet=snippet)
        verdict = checks.check(content, result.content, context)
        failures += [f"{path.name}: {check}: {detail}" for check, detail in verdict["fails"]]
        if number % ALSO_JUDGED_TWICE == 0 and result.pixel:
            again = rewrite(result.content, tracking, RING, QUEUE_ID, 1)
            if again.content is not result.content:
                failures.append(f"{path.name}: the second pass changed something")
    assert not failures, "\n".join(failures)


def messages() -> list[Path]:
    """The messages judged in this run, in a fixed order."""
    found = sorted(shared("data/fidelity/eml").glob("*.eml"))
    assert found
    return found[::EVERY]
