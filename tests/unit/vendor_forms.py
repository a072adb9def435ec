"""What the forms of mail services are translated with, and what tests read of the result."""

from hypothesis import strategies as st

from relay.mail.dialects.field_values import DialectContext
from relay.mail.instructions import Ignored, Option, Statement

CONTEXT = DialectContext(
    now=1_800_000_000.0, groups={"7": "newsletter"}, streams={"broadcast": "newsletter"}, pools=("tx",)
)


def said(found: tuple[Statement, ...]) -> list[str]:
    return [str(one) for one in found if isinstance(one.content, Ignored)]


def options(found: tuple[Statement, ...]) -> dict[str, object]:
    return {one.content.name: one.content.value for one in found if isinstance(one.content, Option)}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
