"""Masks the mail addresses in a page, wherever they stand: in replies, subjects and links too. Pure."""

import re
from collections.abc import Collection
from html import unescape
from urllib.parse import unquote

from relay.console.roles import masked

_LOCAL = r"(?:[^\s<>\"'()\[\],:;@=&%?/|\\]|&amp;|&#39;|%(?!40)[0-9A-Fa-f]{2})"

_ADDRESS = re.compile(
    rf"(?:&#34;[^<>\n]{{1,64}}?&#34;|\"[^<>\n\"]{{1,64}}\"|{_LOCAL}{{1,100}})(?:@|%40|&#64;)"
    r"(?:\[[0-9A-Fa-f.:]{2,45}\]|(?:[^\W_]|[-_.]|%[89A-Fa-f][0-9A-Fa-f]){1,253})",
    re.IGNORECASE,
)
"""An address in text, in an attribute, or in the query of a link."""


def mask_addresses(text: str, shown: Collection[str]) -> str:
    """Return the text with all addresses masked, but those that may be shown (in lower case)."""

    def replace(found: re.Match[str]) -> str:
        whole = found[0]
        plain = unquote(unescape(whole)).lower().rstrip(".")
        return (
            whole if plain in shown or plain.endswith("•") else masked(whole.replace("%40", "@").replace("&#64;", "@"))
        )

    return _ADDRESS.sub(replace, text)
