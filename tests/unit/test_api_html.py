"""HTML of the page that describes the API: whatever a stranger wrote is text, never markup."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from relay.api.html import Markup, fragment, tag


class Reading(HTMLParser):
    """Collects elements, attributes and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reading:
    reading = Reading()
    reading.feed(html)
    reading.close()
    return reading


@given(st.text(), st.text())
def test_text_and_attributes_are_escaped_and_unprintable_characters_replaced(text: str, value: str) -> None:
    def shown(one: str) -> str:
        return "".join(char if char.isprintable() else " " for char in one)

    reading = read(tag("p", text, title=value))
    assert reading.tags == [("p", {"title": shown(value)})]
    assert reading.text == shown(text)


def test_elements_escape_text_and_attributes() -> None:
    assert tag("input", type="search", name="q", value='a"b') == '<input type="search" name="q" value="a&quot;b">'
    assert tag("td", 5, None, tag("b", "<"), class_="n", hidden=False, title=None) == '<td class="n">5<b>&lt;</b></td>'
    assert fragment("a<", Markup("<br>"), 1) == "a&lt;<br>1"


def test_lone_surrogates_of_raw_header_bytes_can_be_sent() -> None:
    assert tag("p", "\udcff").encode()
