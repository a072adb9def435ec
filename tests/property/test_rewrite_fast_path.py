"""Whatever a message holds, the fast path has the content and notes of its twin, or no answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rewrite.native import IS_COMPILED
from relay.rewrite.options import Tracking
from tests.native.twins import ENCODINGS, SWITCHES, disagreement, message
from tests.property.message_pieces import HTML, MIME_PIECES

pytestmark = pytest.mark.skipif(not IS_COMPILED, reason="the compiled code is not built: make native")
switches = st.sampled_from(list(SWITCHES.values()))


@given(HTML, st.sampled_from(ENCODINGS), switches)
def test_both_forms_agree_about_any_html(html: str, encoding: str, tracking: Tracking) -> None:
    assert not disagreement(message(html.encode(), encoding), tracking)


@given(st.lists(MIME_PIECES, max_size=30).map(b"".join), switches)
def test_both_forms_agree_about_any_octets(content: bytes, tracking: Tracking) -> None:
    assert not disagreement(content, tracking)
