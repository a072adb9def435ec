"""Address lists of header fields: From, Sender, Reply-To, Resent-* (RFC 5322 sections 3.4 and 4.4, RFC 6532, RFC 6854).

A list is parsed completely or not at all. Obsolete forms are accepted; invalid input is never guessed. Pure, linear in
the value.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from relay.frozen import dataclass
from relay.mail.address import ATOM, DOMAIN, LITERAL, PLAIN_ADDRESS
from relay.mail.canonical_address import quoted_if_needed
from relay.mail.domain_name import to_ascii
from relay.mail.header_tokens import Kind, LexicalError, Token, tokens

_BLANKS = re.compile(r"[ \t\r\n]+")
_PAIR_OR_FOLD = re.compile(r"\\(.)|\r\n", re.DOTALL)
_ENCODED_WORD = re.compile(r"=\?[^?]*+\?[^?]*+\?.*\?=", re.DOTALL)
"""What some programs decode, wherever it stands (RFC 2047 section 5)."""

_PHRASE = rf"[{ATOM}][{ATOM}. \t]*+|\"[ !#-\[\]-~\u00a0-\ud7ff\ue000-\U0010ffff]*+\""
_NAME_ADDR = rf"(?P<name>(?>{_PHRASE})?+)[ \t]*+<(?P<angle>{PLAIN_ADDRESS})>"
_PLAIN = re.compile(rf"[ \t]*+(?:{_NAME_ADDR}|(?P<bare>{PLAIN_ADDRESS}))[ \t]*+")
"""The usual form of one mailbox. The grammar gives the same result for every match."""

MAX_LIST = 8 * 1024
"""Characters of an address list. A longer one is unreadable, because reading it would delay other mail."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox of an address list."""

    name: str
    """Display name as written, with its quotes, folds and comments; "" for none."""
    address: str
    """`local@domain` without comments, white space, route and needless quotes."""
    in_group: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An address list that is not valid, and its first fault."""

    reason: str
    position: int
    """Number of characters of the value before the fault."""

    def __str__(self) -> str:
        return f"{self.reason} at character {self.position + 1}"


def parse_address_list(value: str, limit: int = MAX_LIST) -> tuple[Mailbox, ...] | Unreadable:
    """Return all mailboxes of a field value in order, those of groups included; or the first fault.

    `limit` is in characters. The value may be folded. Octets that are not UTF-8 are expected as surrogate escapes.
    """
    plain = _PLAIN.fullmatch(value)
    if plain is not None:
        address = plain["angle"] or plain["bare"]
        if "=?" not in address:
            return (Mailbox((plain["name"] or "").rstrip(" \t"), address),)
    return parse_by_grammar(value, limit)


def parse_by_grammar(value: str, limit: int = MAX_LIST) -> tuple[Mailbox, ...] | Unreadable:
    """Parse by the grammar alone, with the same result as `parse_address_list`."""
    if len(value) > limit:
        return Unreadable(f"more than {limit} characters", limit)

    try:
        return tuple(_Parser(value, tokens(value)).address_list())
    except LexicalError as error:
        return Unreadable(error.reason, error.position)


class _Parser:
    """Parses the tokens of one value from left to right."""

    def __init__(self, value: str, found: Sequence[Token]) -> None:
        self._value = value
        self._tokens = found
        self._index = 0

    def address_list(self) -> list[Mailbox]:
        """address-list, with the empty elements of obs-addr-list."""
        mailboxes: list[Mailbox] = []
        while not self._ended:
            if self._skip_if(","):
                continue
            words = self._words()
            if words and self._skip_if(":"):
                mailboxes += self._group(words)
            else:
                mailboxes.append(self._mailbox(words))
            if not self._ended:
                self._expect(",", "a comma between two addresses")
        return mailboxes

    def _group(self, words: Sequence[Token]) -> list[Mailbox]:
        """The mailboxes of a group whose name was read; none in an empty group."""
        self._check_phrase(words)
        mailboxes: list[Mailbox] = []
        while not self._skip_if(";"):
            if self._skip_if(","):
                continue
            mailboxes.append(replace(self._mailbox(self._words()), in_group=True))
            if self._next.text != ";":
                self._expect(",", "a comma or the ; that ends the group")
        return mailboxes

    def _mailbox(self, words: Sequence[Token]) -> Mailbox:
        """name-addr or addr-spec, whose first words were read."""
        if self._skip_if("<"):
            self._check_phrase(words)
            name = self._value[words[0].start : words[-1].end] if words else ""
            self._skip_route()
            address = self._addr_spec(self._words())
            self._expect(">", "the > that ends the address")
            return Mailbox(name, address)
        return Mailbox("", self._addr_spec(words))

    def _addr_spec(self, words: Sequence[Token]) -> str:
        start = (words[0] if words else self._next).start
        if not words or self._next.text != "@":
            raise self._missing("an address")
        content = _local_content(words)
        self._expect("@", "the @ of an address")
        address = f"{quoted_if_needed(content)}@{self._domain()}"
        if not address.isprintable():
            raise LexicalError("a character that no address has", start)
        if _ENCODED_WORD.search(address):
            raise LexicalError("an encoded word inside an address", start)
        return address

    def _domain(self) -> str:
        """Domain of an addr-spec or route: obs-domain, with a dot at its end allowed, or a literal."""
        first = self._next
        if first.kind is Kind.LITERAL:
            self._index += 1
            literal = _BLANKS.sub("", first.text)
            if not LITERAL.fullmatch(literal):
                raise LexicalError("an address literal that is none", first.start)
            return literal

        words = self._words()
        domain = "".join(word.text for word in words)
        atoms, dots = words[::2], words[1::2]
        whole = all(one.kind is Kind.ATOM for one in atoms) and all(one.text == "." for one in dots)
        if not whole or not DOMAIN.fullmatch(to_ascii(domain) or ""):
            raise LexicalError("no domain name behind the @", first.start)

        return domain

    def _skip_route(self) -> None:
        """obs-route: `@a, @b:` before an addr-spec."""
        if self._next.text not in ("@", ","):
            return
        while self._next.text in ("@", ","):
            if self._skip_if("@"):
                self._domain()
            else:
                self._index += 1
        self._expect(":", "the : that ends the route")

    def _words(self) -> Sequence[Token]:
        """Atoms, quoted strings and dots up to the next other token."""
        start = self._index
        while self._next.kind in (Kind.ATOM, Kind.QUOTED) or self._next.text == ".":
            self._index += 1
        return self._tokens[start : self._index]

    @staticmethod
    def _check_phrase(words: Sequence[Token]) -> None:
        """Refuse a phrase that starts with a dot: obs-phrase allows dots only after its first word."""
        if words and words[0].text == ".":
            raise LexicalError("a name that starts with a dot and has no quotes", words[0].start)

    @property
    def _ended(self) -> bool:
        return self._next.kind is Kind.END

    @property
    def _next(self) -> Token:
        return self._tokens[self._index]

    def _skip_if(self, special: str) -> bool:
        found = self._next.text == special
        self._index += found
        return found

    def _expect(self, special: str, what: str) -> None:
        if not self._skip_if(special):
            raise self._missing(what)

    def _missing(self, what: str) -> LexicalError:
        found = self._next
        instead = f"{found.text[:20]!a} stands" if found.text else "the field ends"
        return LexicalError(f"{instead} where {what} is expected", found.start)


def _local_content(words: Sequence[Token]) -> str:
    """Return the content of a local part: word *("." word), unquoted."""
    for number, word in enumerate(words):
        if (word.text == ".") is not (number % 2 == 1):
            raise LexicalError("two words or two dots in a row before the @", word.start)
    if len(words) % 2 == 0:
        raise LexicalError("a dot before the @", words[-1].start)
    return "".join(_unquoted(word.text) if word.kind is Kind.QUOTED else word.text for word in words)


def _unquoted(quoted: str) -> str:
    return _PAIR_OR_FOLD.sub(lambda found: found[1] or "", quoted[1:-1])
