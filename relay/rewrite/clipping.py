"""Keeps HTML below the size at which Gmail cuts it off, by shorter tokens or fewer of them. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from relay.rewrite.encoding import QUOTED_PRINTABLE, decode

LIMIT = 102_400
"""Octets of HTML that Gmail shows. It hides the rest, with the links and the pixel there, behind a link."""


class Fitted(NamedTuple):
    """The texts to put in, None where the original stays, and what was done, "" for nothing."""

    texts: tuple[bytes | None, ...]
    note: str = ""


def exceeds_limit_by_texts(size: int, widths: Sequence[int], texts: Sequence[bytes]) -> bool:
    """Whether HTML of that size would pass the limit only by these texts in place of ranges of these widths."""
    return size <= LIMIT < size + _growth(widths, texts)


def exceeds_limit_by_rewriting(before: bytes, after: bytes, *, quoted: bool) -> bool:
    """Whether a body of HTML passes the limit only by its rewriting. `quoted`: both are in quoted-printable."""
    if len(after) <= LIMIT:
        return False
    if not quoted:
        return len(before) <= LIMIT
    return len(decode(QUOTED_PRINTABLE, before) or b"") <= LIMIT < len(decode(QUOTED_PRINTABLE, after) or b"")


def fit(size: int, widths: Sequence[int], texts: Sequence[bytes], is_link: Sequence[bool]) -> Fitted:
    """Return the texts, all of them short already, without those that pass the limit.

    Links with the largest growth are left out first, and everything else, the pixel, at last. What fits then is put
    back, the smallest first.
    """
    excess = size + _growth(widths, texts) - LIMIT
    grown = [len(text) - width for text, width in zip(texts, widths, strict=True)]
    kept: list[bytes | None] = list(texts)
    for number in sorted(range(len(texts)), key=lambda number: (not is_link[number], -grown[number], number)):
        if excess <= 0:
            break
        if grown[number] <= 0:
            continue
        kept[number] = None
        excess -= grown[number]
    for number in sorted((number for number, text in enumerate(kept) if text is None), key=grown.__getitem__):
        if grown[number] <= -excess:
            kept[number] = texts[number]
            excess += grown[number]

    links = sum(text is None and link for text, link in zip(kept, is_link, strict=True))
    has_pixel = all(text is not None or link for text, link in zip(kept, is_link, strict=True))
    done = ["links have short tokens"] if links < sum(is_link) else []
    done += [f"{links} of {sum(is_link)} links are not tracked"] if links else []
    done += [] if has_pixel else ["there is no pixel"]
    return Fitted(tuple(kept), f"{', '.join(done)}: Gmail cuts HTML off at {LIMIT} octets")


def _growth(widths: Sequence[int], texts: Sequence[bytes]) -> int:
    return sum(map(len, texts)) - sum(widths)
