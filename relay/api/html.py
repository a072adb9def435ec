"""Elements of HTML with escaping, for the page that describes the API."""

from html import escape

_VOID = frozenset({"input", "br"})


class Markup(str):
    """HTML that is complete and needs no escaping."""

    __slots__ = ()


def fragment(*children: object) -> Markup:
    """Return the children joined: Markup unchanged, None as nothing, everything else as escaped text."""
    return Markup("".join(map(_to_html, children)))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element. Attributes that are None or False are left out; `class_` is written `class`."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_clean("" if value is True else str(value)))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{pairs}>" if name in _VOID else f"<{name}{pairs}>{fragment(*children)}</{name}>")


def _to_html(child: object) -> str:
    if child is None:
        return ""
    return child if isinstance(child, Markup) else escape(_clean(str(child)))


def _clean(text: str) -> str:
    """Replace unprintable characters by spaces, and surrogates by "?"."""
    printable = text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
    return printable.encode("utf-8", "replace").decode()
