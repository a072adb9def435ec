"""The tokenizer sees the tags a browser sees, and only those."""

import pytest

from relay.rewrite.character_references import decode_attribute
from relay.rewrite.html_tags import END, attributes, tags
from relay.rewrite.links import links, rules
from relay.rewrite.options import Tracking

RULES = rules(Tracking(base_url="https://t.test", skip_sensitive=False, skip_visible_urls=False), frozenset())


def targets(html: str) -> list[str]:
    raw = html.encode()
    return [found.target for found in links(raw, raw.lower(), list(tags(raw.lower())), RULES)]


X = "https://x.test/"


@pytest.mark.parametrize(
    "html",
    [
        f'<a href="{X}">',
        f"<a href='{X}'>",
        f"<a href={X}>",
        f"<A HREF={X}>",
        f'<a\nclass="b"\n\thref\n=\n"{X}"\n>',
        f'<a/href="{X}"/>',
        f'<a class=c/href="{X}" href="{X}">',
        f'<a href="{X}" href="https://second.test/">',
        f'<a title="a > b" href="{X}">',
        f"<a title='<a href=\"https://no.test/\">' href={X}>",
        f'<a "href="https://no.test/" href={X}>',
        f'<a =x href="{X}">',
        f'<area href="{X}">',
        f'<noscript><a href="{X}"></noscript>',
        f'<![if !mso]><a href="{X}"><![endif]>',
        f'<!--[if !mso]><!--><a href="{X}"><!--<![endif]-->',
        f'<!--[if mso]><a href="{X}"><![endif]-->',
        f'<!-- [if mso]><v:roundrect href="{X}"><![endif] -->',
        f'<!--> <a href="{X}"> -->',
        f'<!---> <a href="{X}"> -->',
        f'<!-- x --!><a href="{X}">',
        f'<!-- x --><a href="{X}">',
        f'</ a href="https://no.test/"><a href="{X}">',
        f'<? <a href="https://no.test/"?><a href="{X}">',
        f'< a href="https://no.test/"><a href="{X}">',
        f'<svg><p><a href="{X}">',
        f'<svg/><a href="{X}">',
        f'<svg></svg><a href="{X}">',
        f'<svg><![CDATA[<p><a href="https://no.test/">]]></svg><a href="{X}">',
        f'<![CDATA[ ><a href="{X}">]]>',
        f'<svg><font color="red"><a href="{X}">',
        f'<script><!--<script></script><a href="https://no.test/"></script>--></script><a href="{X}">',
        f'<script><!--></script><a href="{X}">',
        f'<style></styles><a href="https://no.test/"></style ><a href="{X}">',
    ],
)
def test_one_link_is_seen(html: str) -> None:
    assert targets(html) == [X]


@pytest.mark.parametrize(
    "html",
    [
        "<a>",
        "<a href>",
        "<a href=>",
        "<a data-href='https://x.test/'>",
        "<abbr href='https://x.test/'>",
        "<link href='https://x.test/'>",
        "<!-- <a href='https://x.test/'> -->",
        "<!-- [if mso]> <a href='https://x.test/'> -->",
        "<!--[if mso]> <a href='https://x.test/'>",
        "<a title='<a href=https://x.test/>'",
        "<a href='https://x.test/'",
        "<a href='https://x.test/>",
        "<title><a href='https://x.test/'></title>",
        "<textarea><a href='https://x.test/'></textarea>",
        "<style><a href='https://x.test/'></style>",
        "<script>'<a href=https://x.test/>'</script>",
        "<script><!--<script></script><a href='https://x.test/'>",
        "<xmp><a href='https://x.test/'></xmp>",
        "<iframe><a href='https://x.test/'></iframe>",
        "<noembed><a href='https://x.test/'></noembed>",
        "<plaintext><a href='https://x.test/'>",
        "<svg><a href='https://x.test/'></svg>",
        "<math><a href='https://x.test/'></math>",
        "<svg><svg></svg><a href='https://x.test/'></svg>",
        "<![CDATA[<a href='https://x.test/'>",
        "<style><a href='https://x.test/'>",
    ],
)
def test_no_link_is_seen(html: str) -> None:
    assert targets(html) == []


def test_the_end_is_where_something_is_never_completed() -> None:
    for html, at in [(b"text", 4), (b"text <a hr", 5), (b"<p><!-- x", 3), (b"<b><style>x", 3), (b"x</", 1), (b"<p", 0)]:
        assert list(tags(html))[-1][:2] == (END, at)


def test_attributes_are_read_whole() -> None:
    html = b"""<a one two=2 three='3 "3"' four = "4" five=>"""
    assert list(attributes(html, next(tags(html)))) == [
        (b"one", b""),
        (b"two", b"2"),
        (b"three", b'3 "3"'),
        (b"four", b"4"),
        (b"five", b""),
    ]


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("a=1&amp;b=2", "a=1&b=2"),
        ("a&amp;amp;b", "a&amp;b"),
        ("?a=1&copy=2&section=3&reg=4&lang=en", "?a=1&copy=2&section=3&reg=4&lang=en"),
        ("&copy;&copy &copyx", "\xa9\xa9 &copyx"),
        ("&#38;&#x26;&#X26;&#38", "&&&&"),
        ("&#0;&#xD800;&#1114112;&#99999999999999999999;", "\ufffd" * 4),
        ("&#128;&#x9f;", "\u20ac\u0178"),
        ("&notit;", "&notit;"),
        ("&notin;", "\u2209"),
        ("&amp&quot&lt", '&"<'),
        ("&;&&x;", "&;&&x;"),
        ("&#;&#x;", "&#;&#x;"),
    ],
)
def test_entities_follow_the_attribute_rule(value: str, decoded: str) -> None:
    assert decode_attribute(value) == decoded
