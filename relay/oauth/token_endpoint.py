"""Posts forms to token endpoints over verified TLS."""

import asyncio
import ssl

import aiohttp

from relay import __version__
from relay.oauth.ports import TIMEOUT
from relay.oauth.token_requests import Form
from relay.oauth.token_responses import Grant, Refusal, parse_answer, unreachable

SECRET_FIELDS = (
    *("client_secret", "refresh_token", "assertion", "client_assertion"),
    *("device_code", "code", "code_verifier"),
)
"""Fields of a form that no text of an answer may show."""

_MAX_BODY = 65536
"""Octets of an answer that are read, at most."""


async def request_token(url: str, form: Form) -> Grant | Refusal:
    """Post a form to a token endpoint, and return the token, or why there is none."""
    status, body = await post_form(url, form)
    secrets = [form[key] for key in SECRET_FIELDS if key in form]
    return parse_answer(status, body, secrets) if status else unreachable(body.decode(), secrets)


async def post_form(url: str, form: Form) -> tuple[int, bytes]:
    """Post a form once, and return status and body; status 0 and the reason if there is no answer.

    No redirects, no cookies, no proxies; certificates are verified.
    """
    try:
        context = await asyncio.to_thread(ssl.create_default_context)
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT),
                trust_env=False,
                headers={"User-Agent": f"relay/{__version__}", "Accept": "application/json"},
            ) as session,
            session.post(url, data=dict(form), allow_redirects=False) as answer,
        ):
            return answer.status, await _body(answer)
    except TimeoutError:
        return 0, f"no answer within {TIMEOUT:g} seconds".encode()
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return 0, _reason(error).encode("utf-8", "replace")


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """Return the body, cut: it could be endless."""
    octets = b""
    while len(octets) < _MAX_BODY and (more := await answer.content.read(_MAX_BODY - len(octets))):
        octets += more
    return octets


def _reason(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"certificate: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            return error.os_error.strerror or str(error.os_error) or str(error)
    return str(error) or type(error).__name__
