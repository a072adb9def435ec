"""Jinja2 templates of the pages. Every value is escaped, and unprintable characters of it are replaced."""

from collections.abc import Mapping
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from relay.console import formats
from relay.console.roles import masked


def _shown(value: object) -> object:
    """Return a value as a template prints it. Line ends stay: only `pre` shows them."""
    if isinstance(value, str) and not isinstance(value, Markup):
        lines = value.replace("\r\n", "\n").split("\n")
        return "\n".join(map(formats.cleaned, lines))
    return "" if value is None else value


@pass_context
def _address(context: Context, value: str) -> str:
    """Return an address, masked for viewers who see none."""
    return value if context["viewer"].sees_addresses else masked(value)


@pass_context
def _moment(context: Context, at: float) -> Markup:
    """Return a time as an element with its exact value."""
    return _time(at, formats.moment(at, context["now"]))


@pass_context
def _minute(context: Context, at: float) -> Markup:
    return _time(at, formats.minute(at, context["now"]))


def _time(at: float, text: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(formats.exact(at), text) if text else Markup("–")


def environment(*packages: str) -> Environment:
    """Return the templates with their filters. Those of other packages are found too, and can extend them."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(one) for one in (*packages, "relay.console")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
        auto_reload=False,
    )
    made.filters |= {
        "address": _address,
        "moment": _moment,
        "minute": _minute,
        "number": formats.number,
        "duration": formats.duration,
        "octets": formats.octets,
        "date": formats.date,
        "counted": formats.counted,
        "sentence": formats.sentence,
    }
    made.globals |= {"percent": formats.percent, "statuses": formats.STATUSES}
    return made


_TEMPLATES = environment()


def rendered(name: str, values: Mapping[str, Any]) -> str:
    """Return a page of the template with that name."""
    return _TEMPLATES.get_template(name).render(values)
