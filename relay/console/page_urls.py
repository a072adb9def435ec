"""Addresses of pages with their parameters. Pure."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode


def page_url(path: str, query: Mapping[str, str], **changes: str) -> str:
    """Return the address with the parameters that are not empty; `changes` replace or remove some."""
    kept = {key: value for key, value in {**query, **changes}.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path


def path_segment(text: str) -> str:
    """Return a text as one segment of a path."""
    return quote(text, safe="@")
