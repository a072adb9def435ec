"""Login and logout, the first password, and the app for codes."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import assert_never
from urllib.parse import urlencode

from aiohttp import web

from relay.config.console import Console
from relay.console.forms import form_of, local_path
from relay.console.layout import Layout
from relay.console.login_access import COOKIE, TYPED, end_cookie, set_cookie
from relay.console.roles import Role, viewer_of
from relay.people.grants import SignedIn, Stage
from relay.people.login import LoggedIn, People, Refused, TooSoon
from relay.people.totp import SECRET_OCTETS, app_link, secret_octets, secret_text


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPages:
    """GET and POST of /login, /password and /app, and POST /logout."""

    layout: Layout
    people: People
    console: Callable[[], Console]

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /login?next=: the form; with a session, a redirect."""
        if viewer_of(request).role > Role.NEWCOMER:
            raise web.HTTPSeeOther(local_path(request.query.get("next", "")))
        return await self._form(request, "", "")

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """POST /login: begin a session, which has a new token each time."""
        form = await form_of(request)
        given, client = form.get("email", ""), viewer_of(request).client
        request[TYPED] = given.strip().lower()
        result = await self.people.log_in(
            given, form.get("pw", ""), form.get("totp", ""), client=client, former=request.cookies.get(COOKIE, "")
        )
        match result:
            case LoggedIn(token=token):
                return self._begun(token, local_path(request.query.get("next", "")))
            case Refused(text=text):
                return await self._form(request, given, text, status=403)
            case TooSoon(seconds=seconds):
                return await self._form(
                    request, given, f"Too many failures. Try again in {ceil(seconds)} seconds.", status=429
                )
            case _:
                assert_never(result)

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """POST /logout: end the session, also in the store."""
        await self.people.log_out(request.cookies.get(COOKIE, ""))
        answer = web.Response(status=303, headers={"Location": "/login"})
        end_cookie(answer)
        return answer

    async def password(self, request: web.Request) -> web.StreamResponse:
        """GET /password: the form."""
        return await self._password(request, "")

    async def set_password(self, request: web.Request) -> web.StreamResponse:
        """POST /password: all other sessions of the person end, and this one gets a new token."""
        form, signed_in = await form_of(request), signed_in_of(request)
        result = await self.people.set_password(
            signed_in,
            form.get("present", ""),
            form.get("new", ""),
            form.get("again", ""),
            client=viewer_of(request).client,
        )
        if isinstance(result, Refused):
            return await self._password(request, result.text, status=400)
        return self._begun(result.token, "/")

    async def app(self, request: web.Request) -> web.StreamResponse:
        """GET /app: a new secret for the app."""
        return await self._app(request, secrets.token_bytes(SECRET_OCTETS), "")

    async def set_app(self, request: web.Request) -> web.StreamResponse:
        """POST /app: the app is set up when it shows the right code."""
        form, signed_in = await form_of(request), signed_in_of(request)
        try:
            secret = secret_octets(form.get("secret", ""))
        except ValueError:
            secret = b""
        if len(secret) != SECRET_OCTETS:
            return await self._app(request, secrets.token_bytes(SECRET_OCTETS), "The form was changed. Begin anew.")
        code, present, client = form.get("code", ""), form.get("present", ""), viewer_of(request).client
        refused = await self.people.confirm_app(signed_in, secret, code, client=client, present=present)
        if refused is not None:
            return await self._app(request, secret, refused.text, status=400)
        raise web.HTTPSeeOther("/")

    async def _form(self, request: web.Request, given: str, fault: str, status: int = 200) -> web.StreamResponse:
        following = local_path(request.query.get("next", ""))
        action = f"/login?{urlencode({'next': following})}" if following != "/" else "/login"
        values = {"given": given, "fault": fault, "action": action}
        return await self.layout.page(request, "login.html", title="Log in", status=status, **values)

    async def _password(self, request: web.Request, fault: str, status: int = 200) -> web.StreamResponse:
        first = signed_in_of(request).stage is Stage.PASSWORD
        title = "Choose a password" if first else "Change your password"
        return await self.layout.page(request, "password.html", title=title, status=status, fault=fault, first=first)

    async def _app(self, request: web.Request, secret: bytes, fault: str, status: int = 200) -> web.StreamResponse:
        signed_in = signed_in_of(request)
        return await self.layout.page(
            request,
            "app.html",
            title="Set up an app for codes",
            status=status,
            fault=fault,
            secret=secret_text(secret),
            uri=app_link(secret, signed_in.address, f"relay {self.layout.hostname()}"),
            required=signed_in.stage is Stage.APP,
            has_app=signed_in.has_app,
        )

    def _begun(self, token: str, path: str) -> web.Response:
        answer = web.Response(status=303, headers={"Location": path})
        set_cookie(answer, token, self.console().session)
        return answer


def signed_in_of(request: web.Request) -> SignedIn:
    """Return the login of a request. Raises 403 without one."""
    found = viewer_of(request).signed_in
    if found is None:
        raise web.HTTPForbidden(text="log in first")
    return found
