"""A mail that came in, laid out for reading: header, parts, the words for people, the header of what it returns."""

from dataclasses import dataclass
from functools import cached_property

from relay.dsn.parts import Header, Part, normal_lines, read_header, walk
from relay.dsn.prose import Prose, read_prose
from relay.dsn.returned import RETURNED_TYPES, returned_header, split_report
from relay.dsn.vocabulary import DAEMON, FAILURE_SUBJECT, SYSTEM
from relay.mail.subject import is_answer

_LIST_FIELDS = ("list-id", "list-unsubscribe", "list-post")
_FEW = 40
"""Characters: a plain text shorter than that is an empty one with a signature; the HTML tells more."""


@dataclass(frozen=True)
class Received:
    """One mail. `text` is what it says to people; `trailing` the returned message where that follows in the text."""

    header: Header
    parts: list[Part]
    text: str
    trailing: str
    returned: Header

    @cached_property
    def prose(self) -> Prose:
        """The words for people, taken apart."""
        return read_prose(self.text)

    @cached_property
    def subject(self) -> str:
        """The decoded subject, its first 300 characters."""
        return self.header.text("subject")[:300]

    @cached_property
    def author(self) -> str:
        """The decoded From, else the return-path, its first 300 characters."""
        return (self.header.text("from") or self.header.get("return-path"))[:300]

    @property
    def is_nameless(self) -> bool:
        """Whether the From is the null address, as some mail systems write it."""
        return self.header.get("from").strip().endswith("<>")

    @property
    def from_daemon(self) -> bool:
        """Whether the author is a mail system beyond doubt."""
        return DAEMON.search(self.author) is not None

    @property
    def has_null_path(self) -> bool:
        """Whether it came with the null reverse-path, as reports must (RFC 5321 section 4.5.5)."""
        return self.header.get("return-path").strip() == "<>"

    @property
    def is_for_many(self) -> bool:
        """Whether a list or a newsletter sent it, not a mail system (RFC 2369, RFC 2919)."""
        return not self.has_null_path and any(name in self.header for name in _LIST_FIELDS)

    @property
    def is_answer(self) -> bool:
        """Whether its subject is one of an answer or of forwarded mail, without the null reverse-path."""
        return not self.has_null_path and is_answer(self.subject)

    @property
    def from_system(self) -> bool:
        """Whether a mail system may have written it: by its name or its null reverse-path."""
        if self.has_null_path or "x-failed-recipients" in self.header:
            return True
        return not self.author or SYSTEM.search(self.author) is not None

    @property
    def subject_tells_failure(self) -> bool:
        """Whether the subject is one of a failure report."""
        return FAILURE_SUBJECT.search(self.subject) is not None

    @property
    def returns_message(self) -> bool:
        """Whether a message is returned with it."""
        return bool(self.trailing.strip()) or any(part.media_type in RETURNED_TYPES for part in self.parts)

    def parts_of(self, *names: str) -> list[Part]:
        """Return the parts whose media type contains one of the names."""
        return [part for part in self.parts if any(name in part.media_type for name in names)]


def read(content: bytes) -> Received:
    """Lay a raw mail out; the work is linear in its readable beginning."""
    mail = normal_lines(content)
    parts = walk(mail)
    text, trailing = split_report(_text_for_people(parts))
    return Received(read_header(mail), parts, text, trailing, returned_header(parts, trailing))


def _text_for_people(parts: list[Part]) -> str:
    """Join the text parts before the returned message; those behind it are lists' footers, unless none comes first."""
    before: list[Part] = []
    for part in parts:
        if part.media_type in RETURNED_TYPES:
            if before:
                break
        elif part.media_type.startswith("text/"):
            before.append(part)
    plain = "\n".join(part.text() for part in before if part.media_type != "text/html")
    if len(plain.strip()) > _FEW:
        return plain
    return "\n".join([plain, *(part.text() for part in before if part.media_type == "text/html")])
