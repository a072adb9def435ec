"""What this room asks of DNS, as a protocol that `relay.resolver.Resolver` fulfils, and how aliases are followed."""

from dataclasses import dataclass
from typing import Protocol, assert_never

from relay.resolver import (
    AddressAnswer,
    Alias,
    AliasAnswer,
    IPAddress,
    MxAnswer,
    NamesAnswer,
    NoRecords,
    NoSuchDomain,
    TemporaryFailure,
    TextAnswer,
)

MAX_CHAIN = 10
"""Aliases followed before a chain is called endless; resolvers give up at 8 to 16."""


class Lookups(Protocol):
    """DNS with every answer a value; aliases are followed by all but `cname`."""

    async def mx(self, domain: str) -> MxAnswer:
        """Return the mail exchangers; `implicit` when there is no MX record."""

    async def addresses(self, host: str, *, ipv6: bool = True) -> AddressAnswer:
        """Return the addresses, without IPv6 when that is turned off."""

    async def txt(self, name: str) -> TextAnswer:
        """Return the TXT records, the strings of each joined."""

    async def cname(self, name: str) -> AliasAnswer:
        """Return the direct target of a CNAME."""

    async def ptr(self, address: IPAddress) -> NamesAnswer:
        """Return the names of an address."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The names a chain of CNAMEs leads over, the first name left out; `endless` when it loops or is too long."""

    names: tuple[str, ...] = ()
    endless: bool = False

    def __str__(self) -> str:
        return " → ".join(self.names)


async def follow(dns: Lookups, name: str) -> Chain | TemporaryFailure:
    """Follow the aliases of a name, at most `MAX_CHAIN`."""
    names: list[str] = []
    seen = {name.lower()}
    while True:
        answer = await dns.cname(names[-1] if names else name)
        match answer:
            case TemporaryFailure():
                return answer
            case Alias(target):
                names.append(target)
                if target in seen or len(names) > MAX_CHAIN:
                    return Chain(tuple(names), endless=True)
                seen.add(target)
            case NoSuchDomain() | NoRecords():
                return Chain(tuple(names))
            case _:
                assert_never(answer)
