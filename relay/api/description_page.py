"""A page to read the description of the API: HTML without scripts, of the same OpenAPI document. Pure."""

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, Template
from markupsafe import Markup

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2024}"
    "code{font:14px ui-monospace,monospace;background:#f1f3f5;padding:.1em .3em;border-radius:3px}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;"
    "border-bottom:1px solid #e3e6e9}h2{margin-top:2.5rem}h3{margin-top:2rem}"
    "@media(prefers-color-scheme:dark){body{background:#16181a;color:#e6e8ea}code{background:#26292c}"
    "td,th{border-color:#33373b}a{color:#7cb7ff}}"
)

POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page: its own style sheet, and nothing else."""


def page(description: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    return _template().render(**description, style=Markup(_STYLE))  # noqa: S704  # A constant of this module.


@cache
def _template() -> Template:
    loader = PackageLoader("relay.api")
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(
        "description.html"
    )
