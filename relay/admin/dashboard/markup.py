"""HTML in which no text is forgotten to be escaped: what is not Markup already is text. Pure."""

from html import escape

_VOID = frozenset({"input", "br"})


class Markup(str):
    """HTML as it is to be sent."""

    __slots__ = ()


def join(*children: object) -> Markup:
    """Return the children one after the other: Markup as it is, None as nothing, everything else as escaped text."""
    return Markup("".join(map(_written, children)))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element. Attributes that are None or False are left out; `class_` is written `class`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_clean("" if value is True else str(value)))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{join(*children)}</{name}>")


def _written(child: object) -> str:
    if child is None:
        return ""
    return child if isinstance(child, Markup) else escape(_clean(str(child)))


def _clean(text: str) -> str:
    """Show what cannot be printed as a blank, and what is no Unicode as its replacement."""
    shown = text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
    return shown.encode("utf-8", "replace").decode()
