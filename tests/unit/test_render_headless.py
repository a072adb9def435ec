"""A message without a header."""

from relay.render.message import RenderInput, outgoing_content
from relay.render.message_policy import MessagePolicy


def test_a_content_that_begins_with_white_space_stays_a_body() -> None:
    policy = MessagePolicy(added_fields=b"Date: now\r\n")
    content = b"   \r\nSubject: no header\r\n\r\nbody\r\n"
    message = RenderInput("1M89VJMK100000", 0.0, "a@acme.test", content, policy)
    assert outgoing_content(message) == b"Date: now\r\n\r\n" + content
