"""A relay with a console on which people log in, and clients that do so."""

from collections.abc import Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from re import search
from typing import Any, Self

import aiohttp

from relay.config.secret_hash import hash_password
from tests.ports import free_port
from tests.servers.console_harness import ConsoleRelay
from tests.servers.sink import Sink

CODE = "4k7q-9x2m-aaaa-bbbb"
PASSWORD = "harbour lights at dawn"
HASH = hash_password(CODE, b"saltsalt", (2, 1, 1))
PEOPLE = {
    "vera@acme.test": "viewer",
    "sam@acme.test": "support",
    "olga@acme.test": "operator",
    "otto@acme.test": "owner",
}


def people_toml(people: Mapping[str, str], domains: Mapping[str, str] | None = None) -> str:
    """Return the tables of people with their roles, and the domains of some."""
    return "".join(
        f'[console.people."{address}"]\nrole = "{role}"\ncode_hash = "{HASH}"\n'
        + (f'domains = ["{domains[address]}"]\n' if domains and address in domains else "")
        for address, role in people.items()
    )


class LoginRelay(ConsoleRelay):
    """A relay with both: the console that reads, and the one on which people act."""

    def __init__(self, folder: Path, sink: Sink, more: str = "", people: str = "", console: str = "") -> None:
        self.acting = free_port()
        table = f'[console]\naddress = "127.0.0.1:{self.acting}"\n{console}\n'
        super().__init__(folder, sink, more=table + (people or people_toml(PEOPLE)) + more)

    @property
    def acting_url(self) -> str:
        """URL of the console on which people act."""
        return f"http://127.0.0.1:{self.acting}"


class Person:
    """A client of the console, as a browser without scripts: it keeps the cookie, and sends the tokens of forms."""

    def __init__(self, url: str, origin: str = "", always: Mapping[str, str] | None = None) -> None:
        self.url = url
        self.origin = origin or url
        self.always = always or {}
        """Header fields of each request, as a proxy adds them."""
        self.token = ""
        self.csrf = ""
        self.page = ""
        self.status = 0
        self.path = ""
        self.headers: Mapping[str, str] = {}

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(self.url, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    def sent(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the header fields of a request."""
        cookie = {"Cookie": f"__Host-relay={self.token}"} if self.token else {}
        return {"Sec-Fetch-Site": "same-origin", **self.always, **cookie, **(more or {})}

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> str:
        """Load a page; follow redirections; return its text."""
        return await self._request("GET", path, headers=self.sent(headers))

    async def post(
        self, path: str, fields: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> str:
        """Send a form with the token of the session; follow redirections; return the page."""
        data = {"csrf": self.csrf, **(fields or {})}
        form: Any = data
        if any(isinstance(value, bytes) for value in data.values()):
            form = aiohttp.FormData()
            for name, value in data.items():
                form.add_field(name, value, **({"filename": "list.csv"} if isinstance(value, bytes) else {}))
        return await self._request(
            "POST", path, headers=self.sent({"Origin": self.origin, **(headers or {})}), data=form
        )

    async def _request(self, method: str, path: str, **options: Any) -> str:
        async with self._client.request(method, path, allow_redirects=False, **options) as answer:
            self.page, self.status, self.headers, self.path = await answer.text(), answer.status, answer.headers, path
            if (found := answer.cookies.get("__Host-relay")) is not None:
                self.token = found.value
        if (token := search(r'name="csrf" value="(\w+)"', self.page)) is not None:
            self.csrf = token[1]
        if self.status in (301, 302, 303):
            return await self.get(self.headers["Location"])
        return self.page

    async def log_in(self, address: str, password: str = PASSWORD, code: str = "") -> str:
        """Send the form of the login."""
        await self.get("/login")
        return await self.post("/login", {"email": address, "pw": password, "totp": code})

    async def first_login(self, address: str) -> str:
        """Log in with the code, and choose the password."""
        await self.log_in(address, CODE)
        return await self.post("/password", {"present": CODE, "new": PASSWORD, "again": PASSWORD})


@asynccontextmanager
async def person(relay: LoginRelay, address: str) -> Any:
    """A person who is logged in, for the first time."""
    async with Person(relay.acting_url) as one:
        await one.first_login(address)
        assert one.status == 200, one.page
        yield one
