"""Follows the CNAME records of a name."""

from dataclasses import dataclass
from typing import assert_never

from relay.resolver import Alias, Lookups, NoRecords, NoSuchDomain, TemporaryFailure

MAX_CHAIN = 10
"""Aliases to follow, at most; resolvers stop after 8 to 16."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The names of a chain of CNAMEs without the first; `endless` if it loops or is too long."""

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
