"""AUTH: the exchange, the check of the credential and its throttling (RFC 4954)."""

from dataclasses import replace

from relay.mail.reply import Reply
from relay.mail.sasl import MALFORMED, Login, Start, decode_response, encode_challenge, parse_auth, parse_plain
from relay.smtp.connection import MAX_AUTH_LINE, Connection
from relay.smtp.stream import ClientDisconnected

MAX_WAIT = 10.0
"""Maximum seconds an attempt is delayed after earlier failures; beyond that it is refused."""

REFUSAL_DELAY = 3.0
"""Seconds before that refusal is sent, so that an immediate retry gains nothing."""

MAX_USERNAME = 255

_ENCRYPT_FIRST = Reply(538, "5.7.11", "Encryption is required first: say STARTTLS")

_WRONG = Reply(535, "5.7.8", "Name or secret is wrong")

_ENOUGH = Reply(421, "4.7.0", "Too many failed logins, try again later")


def offers_auth(connection: Connection) -> bool:
    """Whether AUTH is allowed: on submission listeners, under TLS, or on loopback when the listener has no TLS."""
    session = connection.client_session
    local = connection.loopback and connection.service.listener.tls == "none"
    return session.kind == "submission" and bool(session.tls or local)


async def auth(connection: Connection, argument: str) -> Reply:
    """AUTH: authenticate the client with PLAIN or LOGIN."""
    session = connection.client_session
    if session.kind != "submission":
        return Reply(502, "5.5.1", "AUTH is not offered here")
    if not session.extended:
        return Reply(503, "5.5.1", "Say EHLO first")
    if not offers_auth(connection):
        return _ENCRYPT_FIRST
    if session.credential or connection.mail is not None:
        return Reply(503, "5.5.1", "Authenticated already" if session.credential else "Not inside a transaction")

    start = parse_auth(argument)
    if isinstance(start, Reply):
        return start

    login = await (_plain if start.mechanism == "PLAIN" else _login)(connection, start)
    return login if isinstance(login, Reply) else await _check(connection, login)


async def _plain(connection: Connection, start: Start) -> Login | Reply:
    response = await _ask(connection, "") if start.initial is None else decode_response(start.initial)
    return response if isinstance(response, Reply) else parse_plain(response)


async def _login(connection: Connection, start: Start) -> Login | Reply:
    username = await _ask(connection, "Username:") if start.initial is None else decode_response(start.initial)
    if isinstance(username, Reply):
        return username
    secret = await _ask(connection, "Password:")
    return secret if isinstance(secret, Reply) else Login(username, secret)


async def _ask(connection: Connection, challenge: str) -> str | Reply:
    connection.queue_reply(Reply(334, "", encode_challenge(challenge)))
    line = await connection.read_line(MAX_AUTH_LINE)
    if line is None:
        return Reply(500, "5.5.6", f"Longer than the {MAX_AUTH_LINE} octets a response may have")
    if line == b"*":
        return Reply(501, "5.7.0", "Authentication cancelled")
    return decode_response(line.decode("ascii")) if line.isascii() else MALFORMED


async def _check(connection: Connection, login: Login) -> Reply:
    """Check the secret after the delay of earlier failures. Unknown names get the same reply after the same time."""
    service, session, username = connection.service, connection.client_session, login.username[:MAX_USERNAME]
    throttle = service.resources.throttle

    connection.suspend_deadline()
    wait = throttle.reserve(session.client, username, service.clock(), MAX_WAIT)
    if wait is None:
        await service.pause(REFUSAL_DELAY)
        return _ENOUGH
    if wait > 0:
        await service.pause(wait)
    if connection.gone:
        raise ClientDisconnected

    wrong = bool(login.acting_as) or len(login.username) > MAX_USERNAME
    found = await service.resources.keys.authenticate(service.settings(), username, login.secret)
    if found is not None and not wrong and service.settings().has_scope(found.credential, "send"):
        throttle.succeeded(session.client, username, service.clock())
        connection.client_session = replace(session, credential=found.credential, credential_key=found.key)
        return Reply(235, "2.7.0", "Authentication successful")

    throttle.failed(session.client, username, service.clock())
    connection.login_failed(username, _WRONG)
    return _ENOUGH if connection.auth_failures >= service.settings().smtp.max_auth_failures else _WRONG
