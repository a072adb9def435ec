"""What a person of the configuration is granted, and what the person has to do before using it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from relay.config.console import ROLES, Person, Role
from relay.config.credentials import fingerprint
from relay.people.ports import Account


class Stage(StrEnum):
    """What a login is good for."""

    PASSWORD = "password"  # noqa: S105  a stage
    """Choosing a password: the code of the first login was given."""
    APP = "app"
    """Setting up an app: the configuration requires one."""
    FULL = "full"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The person of a request."""

    address: str
    role: Role
    domains: Sequence[str]
    """Sending domains to which the person is restricted; empty: no restriction."""
    stage: Stage
    token_hash: str
    csrf: str
    """What each form of the session sends back."""
    has_app: bool = False

    def may(self, role: Role) -> bool:
        """Whether the person has the rights of a role."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def sees(self, domain: str) -> bool:
        """Whether mail of a sending domain is shown to the person."""
        return not self.domains or domain in self.domains


def code_mark(person: Person) -> str:
    """Return a short name of the code of a person."""
    return fingerprint(person.code_hash.get_secret_value())


def has_password(person: Person, account: Account | None) -> bool:
    """Whether the person chose a password in the place of the code in the configuration."""
    return account is not None and account.password_hash != "" and account.code_mark == code_mark(person)


def stage_of(person: Person, account: Account | None, *, require_totp: bool) -> Stage:
    """Return what a login of the person is good for."""
    if not has_password(person, account):
        return Stage.PASSWORD
    return Stage.APP if require_totp and not (account and account.totp) else Stage.FULL


def grant_of(person: Person, account: Account | None) -> str:
    """Return a digest of role, domains and secrets. A session ends when it changes."""
    password = account.password_hash if account and has_password(person, account) else ""
    parts = (person.role, *sorted(person.domains), code_mark(person), password)
    return sha256("\0".join(parts).encode()).hexdigest()
