"""The routes of OAuth2: state of the accounts, logins, logouts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from relay.admin.requests import json_body
from relay.config.oauth_checks import IMAP_ACCOUNT
from relay.mail.lane import lane_of
from relay.oauth.service import AccountState, OAuthService
from relay.oauth.tokens import AccessToken, NoToken
from relay.reports.serialize import JsonObject, time_json


@dataclass(frozen=True, slots=True)
class OAuthRoutes:
    """GET /oauth, and POST /oauth/NAME/token, /login and /logout. No answer has a token."""

    oauth: OAuthService
    end_pause: Callable[[str], Awaitable[int | None]]
    """Ends the pause of a lane."""

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/oauth", self.listed),
            web.post("/oauth/{name}/token", self.token),
            web.post("/oauth/{name}/login", self.login),
            web.post("/oauth/{name}/logout", self.logout),
        ]

    async def listed(self, _: web.Request) -> web.Response:
        """GET /oauth: the accounts with OAuth2."""
        return web.json_response({"accounts": [account_json(one) for one in await self.oauth.states()]})

    async def token(self, request: web.Request) -> web.Response:
        """POST /oauth/NAME/token: make sure that there is a valid token, and return the state."""
        name = self._known(request)
        await self.oauth.token(name)
        return await self._state(name)

    async def login(self, request: web.Request) -> web.Response:
        """POST /oauth/NAME/login {"refresh_token": TEXT}: store the login, and return the state."""
        name, body = self._known(request), await json_body(request)
        refresh_token = body.get("refresh_token")
        if not self.oauth.accounts()[name].needs_login:
            raise web.HTTPConflict(text=f'{name} needs no login of a person: its flow is "app"')
        if not isinstance(refresh_token, str) or not refresh_token:
            raise web.HTTPBadRequest(text='"refresh_token" is missing')

        found = await self.oauth.log_in(name, refresh_token)
        if isinstance(found, AccessToken) and name != IMAP_ACCOUNT:
            await self.end_pause(lane_of(name, ""))
        return await self._state(name)

    async def logout(self, request: web.Request) -> web.Response:
        """POST /oauth/NAME/logout: delete the login, also of an account that is in the configuration no more."""
        name = request.match_info["name"]
        return web.json_response({"account": name, "deleted": await self.oauth.log_out(name)})

    async def _state(self, name: str) -> web.Response:
        (found,) = [one for one in await self.oauth.states() if one.account.name == name]
        return web.json_response(account_json(found))

    def _known(self, request: web.Request) -> str:
        name, known = request.match_info["name"], self.oauth.accounts()
        if name not in known:
            text = f"{name!r} is no account with OAuth2; the accounts are: {', '.join(known) or 'none'}"
            raise web.HTTPNotFound(text=text)
        return name


def account_json(found: AccountState) -> JsonObject:
    """Return the state of an account, without its tokens."""
    account, result = found.account, found.result
    failure = result if isinstance(result, NoToken) else None
    return {
        "account": account.name,
        "username": account.username,
        "preset": account.oauth.preset,
        "flow": account.oauth.flow,
        "state": _state_of(found),
        "server": result.source if result else "",
        "seconds": round(found.left),
        "error": failure.reason if failure else "",
        "guidance": failure.guidance if failure else "",
        "logged_in_at": time_json(found.logged_in_at) if found.logged_in_at else None,
        "secret_expires": account.oauth.client_secret_expires or None,
    }


def _state_of(found: AccountState) -> str:
    match found.result:
        case None:
            return "not used yet"
        case AccessToken():
            return "ok" if found.left else "expired"
        case NoToken(is_final=True):
            return "refused" if found.logged_in_at or not found.account.needs_login else "login needed"
    return "no answer"
