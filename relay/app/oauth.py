"""Builds OAuth2: access tokens of providers and of the bounce mailbox."""

import secrets
from collections.abc import Callable

from relay.app.context import AppContext
from relay.clock import steady_clock
from relay.oauth.rotation import RefreshTokens
from relay.oauth.service import OAuthService
from relay.oauth.token_requests import Form
from relay.oauth.token_responses import Grant, Refusal
from relay.rewrite.tokens import Keyring


def open_oauth(context: AppContext, keyring: Callable[[], Keyring]) -> OAuthService:
    """Return the service of access tokens. Refresh tokens are sealed with the tracker keys, which all nodes have."""
    refresh_tokens = RefreshTokens(
        context.store.oauth_tokens,
        keys=lambda: keyring().keys,
        ask=_request_token,
        clock=context.clock,
        random=secrets.token_bytes,
        store_failed=context.observer.store_trouble,
    )
    service = OAuthService(
        context.settings,
        refresh_tokens,
        _request_token,
        clock=context.clock,
        steady=steady_clock,
        random=secrets.token_bytes,
        log=context.log,
        alert=context.alert,
    )
    context.stack.push_async_callback(service.close)
    return service


async def _request_token(url: str, form: Form) -> Grant | Refusal:
    from relay.oauth.token_endpoint import request_token  # Not at the top: it loads HTTP, and mail comes first.

    return await request_token(url, form)
