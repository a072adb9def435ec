"""Logins of people: password or code, the app, and the time between failed attempts."""

import asyncio
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from typing import assert_never

from relay.clock import Clock
from relay.config.console import Console, Person
from relay.config.secret_hash import hash_password, parse_secret_hash
from relay.mail.canonical_address import canonical
from relay.mail.transaction import network_of
from relay.networks import plain_address
from relay.oauth.sealing import Key, SealError, is_sealed_with, seal, unseal
from relay.people.audit_trail import AuditTrail
from relay.people.grants import SignedIn, code_mark, grant_of, has_password, stage_of
from relay.people.passwords import MAX_PASSWORD, password_fault, typed_code
from relay.people.ports import Account, AccountStore, Session, SessionStore
from relay.people.totp import step_of

TOKEN_OCTETS = 32
"""Octets of a token: 256 bits."""

FIRST_SESSION = 900.0
"""Seconds in which a password has to be chosen after a login with a code."""

MAX_ADDRESS = 320
"""Characters of an address that is looked up: 64 before the sign, 255 behind it (RFC 5321 4.5.3.1)."""

_SALT_OCTETS = 16

_NOBODY = "scrypt:32768:8:3:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""Is checked for addresses of nobody, so that the answer takes as long."""

WRONG = "Address, password or code is wrong."
"""The same for all of them: it does not say who may log in."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A new session. Only the browser has the token."""

    token: str
    address: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A login failed; `text` is for the person."""

    text: str
    address: str = ""
    """The person whose login it was, "" for nobody's."""


@dataclass(frozen=True, slots=True)
class TooSoon:
    """A login was not tried: it may come after some seconds."""

    seconds: float


class People:
    """The people of the configuration, with their accounts and sessions. All methods raise StoreError."""

    def __init__(
        self,
        console: Callable[[], Console],
        accounts: AccountStore,
        sessions: SessionStore,
        audit: AuditTrail,
        *,
        keys: Callable[[], Sequence[Key]],
        clock: Clock,
        random: Callable[[int], bytes],
    ) -> None:
        self._console = console
        self.accounts = accounts
        self.sessions = sessions
        self.audit = audit
        self._keys = keys
        self._clock = clock
        self._random = random
        self._hashing = asyncio.Semaphore(2)
        """Each hash takes 32 MiB."""

    async def log_in(
        self, given: str, password: str, code: str, *, client: str, former: str = ""
    ) -> LoggedIn | Refused | TooSoon:
        """Log a person in. `former` is the token that the browser has, which ends."""
        result = await self._log_in(given, password, code, client, former)
        match result:
            case LoggedIn(address=address):
                await self.audit.note("login", person=address, client=client)
            case Refused(text=why, address=address):
                self.audit.log("console.login_failed", person=address, client=client, why=why)
            case TooSoon(seconds=seconds):
                why = f"too soon after failures, by {ceil(seconds)} s"
                self.audit.log("console.login_failed", person="", client=client, why=why)
            case _:
                assert_never(result)
        return result

    async def _log_in(
        self, given: str, password: str, code: str, client: str, former: str
    ) -> LoggedIn | Refused | TooSoon:
        now, address = self._clock(), _login_address(given)
        person, account = self._console().people.get(address), await self.accounts.account(address)
        network = network_of(plain_address(client) or "0.0.0.0")  # noqa: S104  no address is known
        keys = self._attempt_keys(address, network, account)
        wait = await self.sessions.attempt(keys, now)
        if wait:
            return TooSoon(wait)

        is_right = await self._matches(person, account, password)
        if person is None or not is_right:
            return Refused(WRONG, address if person else "")
        if account is not None and account.totp:
            fault = await self._app_fault(account, code, now)
            if fault:
                return Refused(fault, address)
        await self.sessions.succeeded(keys)
        await self.accounts.note_login(address, now, network)
        return LoggedIn(await self._begin(address, person, account, client, former), address)

    async def signed_in(self, token: str) -> SignedIn | None:
        """Return the person of a token, None if its session ended: also by a change of role, domains or password."""
        if not token:
            return None
        console, token_hash = self._console(), hash_of(token)
        found = await self.sessions.find(token_hash, self._clock())
        if found is None:
            return None
        session, account = found
        person = console.people.get(session.address)
        if person is None or not hmac.compare_digest(session.grant, grant_of(person, account)):
            await self.sessions.end(token_hash)
            return None
        return SignedIn(
            address=session.address,
            role=person.role,
            domains=person.domains,
            stage=stage_of(person, account, require_totp=console.require_totp),
            token_hash=token_hash,
            csrf=csrf_of(token),
            has_app=bool(account and account.totp),
        )

    async def log_out(self, token: str) -> None:
        """End the session of a token."""
        await self.sessions.end(hash_of(token))

    async def set_password(
        self, signed_in: SignedIn, present: str, new: str, again: str, *, client: str
    ) -> LoggedIn | Refused:
        """Set the password of a person. All sessions of the person end, and a new one begins."""
        address = signed_in.address
        person, account = self._console().people.get(address), await self.accounts.account(address)
        fault = await self._present_fault(address, person, account, present, client)
        if person is None or fault:
            return Refused(fault, address)
        fault = password_fault(new, address) if new == again else "The two new passwords differ."
        fault = fault or ("The new password is the present one." if typed_code(new) == typed_code(present) else "")
        if fault:
            return Refused(fault, address)
        async with self._hashing:
            hashed = await asyncio.to_thread(hash_password, new, self._random(_SALT_OCTETS))
        before = account or Account(address)
        if not await self.accounts.set_password(before, hashed, code_mark(person)):
            return Refused("The password was changed meanwhile. Log in with that one.", address)
        await self.audit.note("password", person=address, client=client, subject=address, after="changed")
        await self.sessions.end_all(address)
        after = await self.accounts.account(address)
        return LoggedIn(await self._begin(address, person, after, client, ""), address)

    async def confirm_app(
        self, signed_in: SignedIn, secret: bytes, code: str, *, client: str, present: str = ""
    ) -> Refused | None:
        """Set the app of a person if its code is right, and the present password where it replaces another app.

        The other sessions of the person end.
        """
        address = signed_in.address
        if signed_in.has_app:
            person, account = self._console().people.get(address), await self.accounts.account(address)
            fault = await self._present_fault(address, person, account, present, client)
            if fault:
                return Refused(fault, address)
        step = step_of(secret, code, self._clock())
        if step is None:
            return Refused(
                "The code does not fit. Look for the present one, and check the clock of the phone.", address
            )
        await self.accounts.set_totp(address, self._sealed(address, secret), step)
        await self.audit.note("app", person=address, client=client, subject=address, after="changed")
        await self.sessions.end_all(address, signed_in.token_hash)
        return None

    async def remove_app(self, address: str) -> bool:
        """Remove the app of a person, and end all sessions of the person; False if there was none."""
        account = await self.accounts.account(address)
        if account is None or not account.totp:
            return False
        await self.accounts.set_totp(address, "", 0)
        await self.sessions.end_all(address)
        return True

    def _attempt_keys(self, address: str, network: str, account: Account | None) -> Sequence[str]:
        """Return what failures are counted by. From the network of the last login strangers do not delay a person."""
        own = account is not None and account.network == network
        return (f"account {address} {network}" if own else f"account {address}", f"network {network}")

    async def _present_fault(
        self, address: str, person: Person | None, account: Account | None, present: str, client: str
    ) -> str:
        """Check the present password in a session; return what is wrong. Failures slow down, as those of logins do."""
        keys = (f"password {address}",)
        wait = await self.sessions.attempt(keys, self._clock())
        if wait:
            return f"Too soon after wrong passwords. Try again in {ceil(wait)} seconds."
        if person is None or not await self._matches(person, account, present):
            self.audit.log("console.login_failed", person=address, client=client, why="wrong present password")
            return "The present password or code is wrong."
        await self.sessions.succeeded(keys)
        return ""

    async def _matches(self, person: Person | None, account: Account | None, password: str) -> bool:
        """Check password or code, in a time that does not depend on whether there is such a person."""
        given, expected = password[:MAX_PASSWORD], _NOBODY
        if person is not None and account is not None and has_password(person, account):
            expected = account.password_hash
        elif person is not None:
            given, expected = typed_code(given), person.code_hash.get_secret_value()
        parsed = parse_secret_hash(expected)
        async with self._hashing:
            return await asyncio.to_thread(parsed.matches, given) and expected != _NOBODY

    async def _app_fault(self, account: Account, code: str, now: float) -> str:
        """Use the code of an app; return why it does not count."""
        if not code.strip():
            return "The code of your app is needed."
        try:
            secret = bytes.fromhex(unseal(account.totp, _sealed_name(account.address), self._keys()))
        except SealError:
            return "The codes of your app cannot be checked: the key of the relay changed. The owner removes the app."
        step = step_of(secret, code, now)
        newest = self._keys()[0]
        resealed = "" if is_sealed_with(account.totp, newest) else self._sealed(account.address, secret)
        if step is None:
            return WRONG
        used = await self.accounts.use_totp(account.address, step, resealed)
        return "" if used else "This code was used before. Wait for the next one of your app."

    def _sealed(self, address: str, secret: bytes) -> str:
        return seal(secret.hex(), _sealed_name(address), self._keys()[0], self._random(12))

    async def _begin(self, address: str, person: Person, account: Account | None, client: str, former: str) -> str:
        """Begin a session with a new token, which no one knew before (session fixation)."""
        now, token = self._clock(), self._random(TOKEN_OCTETS).hex()
        seconds = self._console().session if has_password(person, account) else FIRST_SESSION
        session = Session(hash_of(token), address, grant_of(person, account), now, now + seconds, client)
        await self.sessions.begin(session, hash_of(former) if former else "")
        return token


def _login_address(given: str) -> str:
    """Return the canonical address of a login, "" if no address looks like that: no store is asked for it."""
    text = given.strip()
    return canonical(text) if len(text) <= MAX_ADDRESS and text.isprintable() else ""


def hash_of(token: str) -> str:
    """Return what the store has of a token."""
    return sha256(token.encode("utf-8", "replace")).hexdigest()


def csrf_of(token: str) -> str:
    """Return what the forms of a session send back: another site cannot read it."""
    return hmac.digest(token.encode("utf-8", "replace"), b"relay console form", "sha256").hex()


def _sealed_name(address: str) -> str:
    return f"app of {address}"
