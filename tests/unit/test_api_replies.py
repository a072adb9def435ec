"""The HTTP status of each reply with which the acceptor refuses, and errors without values of the request."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import relay
from relay.api.outgoing_message import OutgoingMessage
from relay.api.replies import http_status, refusal
from relay.api.request_bodies import faults
from relay.mail.reply import Reply


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(554, "5.6.0", "header"), 422),
        (Reply(554, "5.4.6", "loop"), 422),
        (Reply(550, "5.7.1", "author"), 403),
        (Reply(530, "5.7.0", "login"), 401),
        (Reply(535, "5.7.8", "login"), 401),
        (Reply(552, "5.3.4", "size"), 413),
        (Reply(451, "4.7.1", "paused"), 503),
        (Reply(451, "4.3.0", "store"), 503),
        (Reply(452, "4.3.1", "disk"), 503),
        (Reply(501, "5.1.3", "address"), 422),
        (Reply(450, "4.3.0", "under way"), 409),
        (Reply(459, "4.0.0", "another"), 503),
    ],
)
def test_a_reply_has_a_status(reply: Reply, status: int) -> None:
    assert http_status(reply) == status
    error = refusal(reply)
    assert (error.status, error.detail, error.more["reply"]) == (status, reply.text, str(reply))
    assert ("Retry-After" in error.headers) == (status in (409, 503))


def test_every_refusal_in_the_code_of_acceptance_has_an_error_of_its_kind() -> None:
    root = Path(relay.__file__).parent
    files = [*(root / "submission").glob("*.py"), *(root / "policy").glob("*.py"), root / "smtp" / "body.py"]
    found = {
        (int(code), status)
        for file in files
        for code, status in re.findall(r'Reply\(\s*([45]\d\d), "([^"]*)"', file.read_text("utf-8"))
    }
    assert len(found) > 5
    for code, status in found:
        assert ("Retry-After" in refusal(Reply(code, status, "x")).headers) == (code < 500)


def test_errors_have_no_values() -> None:
    with pytest.raises(ValidationError) as caught:
        OutgoingMessage.model_validate(
            {"from": "hunter2", "to": "hunter2", "tags": [1], "text": 5, "hunter": "hunter2"}
        )
    found = "; ".join(faults(caught.value, OutgoingMessage))
    assert "hunter2" not in found
    for place in ("from: ", "to: ", "tags.0: ", "text: ", "hunter: is unknown"):
        assert place in found
