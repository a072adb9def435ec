"""`sandbox` of domains, identities and credentials, and `[simulator]`: mail that leaves for no server."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Strict

from relay.config.parsers import quoted, setting_error
from relay.config.values import OptionalDomain, Section
from relay.mail.address import AddressError, parse_address
from relay.mail.simulator_words import Simulator

_RIGHT = 'true, false, or { deliver_to = ["qa@acme.test"] }'


@dataclass(frozen=True, slots=True)
class DeliverTo:
    """Sandbox mail goes to these addresses in the place of its recipients."""

    deliver_to: tuple[str, ...]


def _sandbox(value: object) -> object:
    if isinstance(value, bool | DeliverTo):
        return value
    if not isinstance(value, dict):
        raise setting_error(f"{quoted(str(value))} is no sandbox", _RIGHT)
    addresses: Any = value.get("deliver_to")
    if set(value) != {"deliver_to"} or not isinstance(addresses, list | tuple) or not addresses:
        raise setting_error("is a table without a list of addresses in deliver_to alone", _RIGHT)
    return DeliverTo(tuple(map(_address, addresses)))


def _address(value: object) -> str:
    try:
        return str(parse_address(str(value).strip()))
    except AddressError as error:
        raise setting_error(f"{quoted(str(value))} is not a mail address: {error}", _RIGHT) from None


Sandbox = Annotated[
    bool | DeliverTo, BeforeValidator(_sandbox, json_schema_input_type=bool | dict[str, tuple[str, ...]])
]
"""False; True for mail that leaves for no server; or the addresses that get it."""


def strictest(settings: Iterable[bool | DeliverTo]) -> bool | DeliverTo:
    """Return the setting that holds where several apply: True before addresses, the first addresses before False."""
    found: bool | DeliverTo = False
    for one in settings:
        if one is True:
            return True
        if isinstance(one, DeliverTo) and found is False:
            found = one
    return found


class SimulatorSettings(Section):
    """`[simulator]`: the domain whose local parts are words that its built-in receiver answers by."""

    domain: OptionalDomain = "simulator.relay.invalid"
    speed: Annotated[int, Strict(), Field(ge=1, le=1000)] = 1

    @cached_property
    def words(self) -> Simulator:
        """The recipients of the simulator."""
        return Simulator(self.domain)
