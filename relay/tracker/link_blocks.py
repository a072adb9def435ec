"""Blocked links: hosts, URLs and single links that turned out to be malicious. A click on one answers 410. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, Protocol

from relay.mail.domain_name import is_suffix
from relay.rewrite.tokens import Keyring, Kind, Token, verify_token
from relay.tracker.link_target import canonical_host, canonical_url, host_of

BlockKind = Literal["host", "url", "token"]

MAX_NOTE = 500
"""Characters of a note, at most."""

_TOKEN_IN_URL = re.compile(r"/c/([A-Za-z0-9_-]+)/?(?:[?#].*)?")

_SIGNED = re.compile(r"[A-Za-z0-9_-]{36,}")
"""Form of a token, which has at least 27 octets."""

_LINK = re.compile(r"([0-9A-Z]{14})/([0-9]{1,9}) (\S.*)", re.DOTALL)
"""Value of a blocked token: queue id, number of the recipient, target."""

_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")


class BlockError(ValueError):
    """The text names no link, URL or host that can be blocked; the message says why."""


@dataclass(frozen=True, slots=True)
class Block:
    """One blocked host, URL or token, by its canonical value. `created_at` is in Unix seconds."""

    kind: BlockKind
    value: str
    created_at: float = field(default=0.0, compare=False)
    note: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """A short unique key: values may be as long as a URL."""
        return sha256(f"{self.kind} {self.value}".encode("utf-8", "surrogatepass")).hexdigest()

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class LinkBlocks:
    """The blocks in force. A token comes before a URL, a URL before a host."""

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        self._by_value: Mapping[tuple[BlockKind, str], Block] = {(one.kind, one.value): one for one in blocks}

    def __len__(self) -> int:
        return len(self._by_value)

    def find(self, token: Token) -> Block | None:
        """Return the block of a link, None if it is not blocked. A host blocks all hosts below it, on all ports."""
        if not self._by_value:
            return None
        found = self._by_value.get(("token", link_value(token))) or self._by_value.get(
            ("url", canonical_url(token.target))
        )
        if found is not None:
            return found

        host = host_of(token.target)
        while host:
            found = self._by_value.get(("host", host))
            if found is not None:
                return found
            host = host.partition(".")[2]
        return None


class LinkBlockStore(Protocol):
    """Keeps blocks, and notifies all nodes of a store of changes."""

    @property
    def blocks(self) -> LinkBlocks:
        """The blocks in force."""

    async def block(self, block: Block) -> Block:
        """Add a block and return it; one that exists keeps its time, and gets the note if there is one."""

    async def unblock(self, block: Block) -> Block | None:
        """Remove a block and return it, None if there is none."""

    async def all_blocks(self) -> list[Block]:
        """Return all blocks, newest first."""


@dataclass(frozen=True, slots=True)
class BlockParser:
    """Reads what an operator blocks: the token of a link, a whole tracked link, a URL or a host."""

    keyring: Keyring

    def parse(self, text: str) -> Block:
        """Return the block. Raises BlockError."""
        text = text.strip()
        link = _LINK.fullmatch(text)
        if link is not None and canonical_url(link[3]):
            return Block("token", f"{link[1]}/{int(link[2])} {link[3]}")
        token = self._token(text)
        if token is not None:
            return Block("token", link_value(token))
        if "://" in text:
            return self._url(text)
        if _SIGNED.fullmatch(text) and "." not in text:
            raise BlockError("this is no token of a link that this relay signed: it may be cut, or of a pixel")
        if re.search(r"[/?#\\]", text):
            return self._url(f"https://{text}")
        return self._host(text)

    def _token(self, text: str) -> Token | None:
        """Return the token that the text is, or has as the path of a tracked link."""
        if "://" in text:
            found = _TOKEN_IN_URL.search(text)
            return verify_token(self.keyring, Kind.CLICK, found[1]) if found else None
        return verify_token(self.keyring, Kind.CLICK, text)

    def _url(self, text: str) -> Block:
        value = canonical_url(text)
        if not (value and _HOST.fullmatch(host_of(text))):
            raise BlockError(f'"{text}" is not an http or https URL with a host, such as https://shop.example/page')
        return Block("url", value)

    def _host(self, text: str) -> Block:
        """Read a host; a port and "*." are left out, because a host blocks all its ports and all hosts below it."""
        name = re.sub(r":[0-9]+$", "", text.removeprefix("*."))
        host = canonical_host(name) if name else ""
        if not _HOST.fullmatch(host):
            raise BlockError(f'"{text}" is neither a link, nor a URL, nor a host such as shop.example')
        if is_suffix(host):
            raise BlockError(f'"{host}" is a whole domain of registrations: name a host or domain below it')
        return Block("host", host)


def link_value(token: Token) -> str:
    """Return the value of a blocked token, which the keys do not change."""
    return f"{token.queue_id}/{token.number} {token.target}"
