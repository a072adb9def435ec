"""Where the pixel goes."""

import pytest

from relay.rewrite.html_tags import tags
from relay.rewrite.pixel import pixel_position


def place(html: str, where: str = "end") -> str | None:
    lower = html.encode().lower()
    at = pixel_position(lower, list(tags(lower)), where)
    return None if at is None else html[:at] + "@" + html[at:]


@pytest.mark.parametrize(
    "marked",
    [
        "<html><body><p>x</p>@</body></html>",
        "<html><body><p>x</p>@</BODY ></html>",
        "<html><body>@</body></html>",
        "<p>x</p>@</html>",
        "<p>x</p>@\r\n",
        "text@",
        "<p>x<!-- </body> -->@</body>",
        "<p title='</body>'>x@</body>",
        "<script>'</body>'</script>x@</body>",
        "<p>one</body></html><p>two@</body></html>",
        "<body><p>x</p>@<table><tr><td>y</body>",
        "<body><table><tr><td>y</td></tr></table>@</body>",
        "<body><p>x @<a href='y'>z</body>",
        "<body><p>x @<select><option>z</body>",
        "<body>x@<svg><path></body>",
        "<body>x<svg><path></svg>@</body>",
        "<body>x@<object><p>y</body>",
        "<body>x@<!-- never closed </body>",
        "<body>x@<style> never closed </body>",
        "<body>x@<a href='never closed </body>",
        "<body>x<p>@</",
        "<body>@<font size=2><table><tr><td>x</body>",
        "<title>t</title><p>x@",
        "<head><noscript><link></noscript></head><body>x@</body>",
    ],
)
def test_the_pixel_stands_at_the_end_of_the_body(marked: str) -> None:
    assert place(marked.replace("@", "")) == marked


@pytest.mark.parametrize(
    "html",
    [
        "",
        " \r\n",
        "<!doctype html>",
        "<html><head><title>x</title></head></html>",
        "<style>a{}</style>",
        "<frameset><frame></frameset>",
        "<script>never closed <body>x</body>",
        "<!-- only a comment -->",
    ],
)
def test_a_page_without_a_body_gets_no_pixel(html: str) -> None:
    assert place(html) is None


@pytest.mark.parametrize(
    "marked",
    [
        "<html><head><title>x</title></head><body bgcolor=red>@\r\n<p>x</p></body>",
        "<!-- c -->@<p>x",
        "@text",
    ],
)
def test_the_pixel_stands_at_the_start_of_the_body(marked: str) -> None:
    assert place(marked.replace("@", ""), "start") == marked
