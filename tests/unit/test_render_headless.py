"""A message without a header."""

from relay.render.render import RenderInput, outgoing


def test_a_content_that_begins_with_white_space_stays_a_body() -> None:
    stored = RenderInput(
        "1M89VJMK100000", 0.0, "a@acme.test", b"   \r\nSubject: no header\r\n\r\nbody\r\n", b"Date: now\r\n"
    )
    assert outgoing(stored) == b"Date: now\r\n\r\n   \r\nSubject: no header\r\n\r\nbody\r\n"
