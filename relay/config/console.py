"""`[console]`: the pages on which people act, and the people who may log in there."""

from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from relay.config.parsers import quoted, setting_error
from relay.config.secret_hash import SecretHashError, parse_secret_hash
from relay.config.values import (
    FROM_FILE,
    BaseUrl,
    ConfigPath,
    DomainName,
    Flag,
    Listening,
    MailAddress,
    Network,
    PositiveSeconds,
    Section,
    reject_duplicates,
)
from relay.mail.canonical_address import canonical

Role = Literal["viewer", "support", "operator", "owner"]
"""What a person may do; each may do what those before it may."""

ROLES: tuple[Role, ...] = get_args(Role)

_EXAMPLE_HASH = "scrypt:16384:8:1:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def _origin(value: str) -> str:
    if value and urlsplit(value).path:
        raise setting_error(f"{quoted(value)} has a path", 'scheme and host only, such as "https://relay.acme.test"')
    return value.lower()


def _code_hash(value: SecretStr) -> SecretStr:
    try:
        parse_secret_hash(value.get_secret_value())
    except SecretHashError as error:
        raise setting_error(str(error), "the output of `relay person new ADDRESS`") from None
    return value


class Person(Section):
    """`[console.people.…]`: someone who may log in to the console, by mail address."""

    role: Role = Field(examples=["viewer"])
    domains: tuple[DomainName, ...] = ()
    """Sending domains whose mail the person sees and changes; empty: all."""
    code_hash: Annotated[SecretStr, FROM_FILE, AfterValidator(_code_hash)] = Field(examples=[_EXAMPLE_HASH])
    """Hash of the code of the first login. A new one voids the password."""


class Console(Listening):
    """`[console]`: address, TLS and people of the console. Without a certificate a proxy has to add TLS."""

    url: Annotated[BaseUrl, AfterValidator(_origin)] = ""
    certificate: ConfigPath = None
    key: ConfigPath = None
    trusted_proxies: tuple[Network, ...] = ()
    require_totp: Flag = False
    session: PositiveSeconds = 12 * 3600.0
    audit_retention: PositiveSeconds = 730 * 86400.0
    people: Annotated[
        dict[Annotated[MailAddress, AfterValidator(canonical)], Person], BeforeValidator(reject_duplicates)
    ] = Field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Scheme, host and port as browsers show them: `url`, else the address."""
        scheme = "https" if self.certificate else "http"
        default = f":{443 if self.certificate else 80}"
        return self.url or f"{scheme}://{self.address.removesuffix(default)}".lower()
