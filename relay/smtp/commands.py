"""The SMTP commands: one function each, which returns the reply (RFC 5321 section 4.1).

The listener's `MessageHandler` decides whether a client may send and to which recipients.
"""

from functools import lru_cache

from relay.frozen import replace
from relay.mail.reply import Reply
from relay.mail.sasl import MECHANISMS
from relay.mail.smtp_command import parse_helo, parse_mail, parse_rcpt
from relay.smtp.auth import auth, offers_auth
from relay.smtp.connection import Command, Connection
from relay.smtp.data import bdat, data
from relay.submission.content_replies import too_large

_OK = Reply(250, "2.0.0", "Ok")

_SENDER_OK = Reply(250, "2.1.0", "Ok")

_RECIPIENT_OK = Reply(250, "2.1.5", "Ok")

_GREET_FIRST = Reply(503, "5.5.1", "Say EHLO first")

_NO_ARGUMENT = Reply(501, "5.5.4", "This command has no argument")

_NOT_OFFERED = Reply(502, "5.5.1", "Command not offered here")

_HTTP = Reply(421, "4.7.0", "This is SMTP, not HTTP")


async def ehlo(connection: Connection, argument: str) -> Reply:
    """EHLO: greet and list the extensions (RFC 5321 section 4.1.1.1)."""
    greeted = _greet(connection, argument, extended=True)
    if greeted is not None:
        return greeted
    settings = connection.service.settings()
    starttls, auth = _offers_starttls(connection), offers_auth(connection)
    return _extensions(settings.server.hostname, settings.limits.max_message_size, starttls, auth)


@lru_cache(maxsize=64)
def _extensions(hostname: str, max_size: int, starttls: bool, auth: bool) -> Reply:
    """Return the reply to EHLO. Cached: all clients of a listener get few different ones."""
    offered = [hostname, "PIPELINING", f"SIZE {max_size}"]
    offered += ["8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES"]
    if starttls:
        offered.append("STARTTLS")
    if auth:
        offered.append(f"AUTH {' '.join(MECHANISMS)}")
    return Reply(250, "", "\n".join(offered))


async def helo(connection: Connection, argument: str) -> Reply:
    """HELO: greet a client without extensions."""
    greeted = _greet(connection, argument, extended=False)
    return greeted or Reply(250, "", connection.service.settings().server.hostname)


def _greet(connection: Connection, argument: str, *, extended: bool) -> Reply | None:
    name = parse_helo(argument)
    if isinstance(name, Reply):
        return name
    connection.reset()
    connection.client_session = replace(connection.client_session, helo=name, extended=extended)
    return None


async def starttls(connection: Connection, argument: str) -> Reply | None:
    """STARTTLS: start TLS and discard the state of the session (RFC 3207)."""
    if argument:
        return _NO_ARGUMENT
    if connection.client_session.tls:
        return Reply(503, "5.5.1", "TLS is on already")

    context = connection.service.ssl_context
    if context is None or not _offers_starttls(connection):
        return _NOT_OFFERED

    connection.reset()
    await connection.start_tls(Reply(220, "2.0.0", "Ready to start TLS"), context)
    connection.client_session = replace(
        connection.client_session, helo="", extended=False, credential="", tls=connection.tls
    )

    return None


def _offers_starttls(connection: Connection) -> bool:
    return connection.service.listener.tls == "starttls" and not connection.client_session.tls


async def mail(connection: Connection, argument: str) -> Reply:
    """MAIL: begin a transaction (RFC 5321 section 4.1.1.2)."""
    if not connection.client_session.helo:
        return _GREET_FIRST
    if connection.mail is not None:
        return Reply(503, "5.5.1", "A transaction is open already; RSET ends it")

    asked = parse_mail(argument, lenient=connection.service.settings().smtp.lenient_local_parts)
    if isinstance(asked, Reply):
        connection.refused(asked)
        return asked

    limit = connection.service.settings().limits.max_message_size
    refusal = too_large(limit) if asked.size > limit else None
    refusal = refusal or connection.service.resources.keys.refusal(connection.client_session.credential_key)
    refusal = refusal or connection.service.handler.check_mail(connection.client_session, asked.envelope)
    if refusal is not None:
        connection.refused(refusal)
        return refusal

    connection.mail = asked.envelope
    return _SENDER_OK


async def rcpt(connection: Connection, argument: str) -> Reply:
    """RCPT: add a recipient (RFC 5321 section 4.1.1.3)."""
    envelope, service = connection.mail, connection.service
    if envelope is None or connection.body is not None:
        return Reply(503, "5.5.1", "Say MAIL first" if envelope is None else "BDAT has begun")

    settings = service.settings()
    recipient = parse_rcpt(
        argument,
        settings.server.hostname,
        smtputf8=envelope.smtputf8,
        lenient=settings.smtp.lenient_local_parts,
    )
    if isinstance(recipient, Reply):
        connection.refused(recipient)
        return recipient
    if len(envelope.recipients) >= settings.limits.max_recipients:
        return Reply(452, "4.5.3", f"Too many recipients: {settings.limits.max_recipients} are allowed, send again")

    refusal = service.handler.check_recipient(connection.client_session, envelope, recipient)
    if refusal is not None:
        connection.refused(refusal, recipient.address)
        return refusal

    connection.mail = envelope.with_recipient(recipient)
    return _RECIPIENT_OK


async def rset(connection: Connection, argument: str) -> Reply:
    """RSET: abort the transaction."""
    if argument:
        return _NO_ARGUMENT
    connection.reset()
    return _OK


async def noop(_: Connection, __: str) -> Reply:
    """NOOP: do nothing; the argument is ignored."""
    return _OK


async def vrfy(_: Connection, argument: str) -> Reply:
    """VRFY: disclose no addresses (RFC 5321 section 7.3)."""
    return Reply(252, "2.0.0", "Send some mail, it will be tried") if argument else Reply(501, "5.5.4", "Verify whom?")


async def show_help(_: Connection, __: str) -> Reply:
    """HELP: list the commands."""
    return Reply(214, "2.0.0", "\n".join(["Commands (RFC 5321):", " ".join(OFFERED)]))


async def quit_(_: Connection, argument: str) -> Reply:
    """QUIT: reply 221; a reply with that code closes the connection."""
    return _NO_ARGUMENT if argument else Reply(221, "2.0.0", "Bye")


async def not_offered(_: Connection, __: str) -> Reply:
    """EXPN, ETRN: recognised, not implemented."""
    return _NOT_OFFERED


async def http(_: Connection, __: str) -> Reply:
    """HTTP methods: close before the body of a forged browser request is read as commands."""
    return _HTTP


OFFERED: dict[str, Command] = {
    "EHLO": ehlo,
    "HELO": helo,
    "STARTTLS": starttls,
    "AUTH": auth,
    "MAIL": mail,
    "RCPT": rcpt,
    "DATA": data,
    "BDAT": bdat,
    "RSET": rset,
    "NOOP": noop,
    "VRFY": vrfy,
    "HELP": show_help,
    "QUIT": quit_,
}

COMMANDS: dict[str, Command] = (
    OFFERED
    | dict.fromkeys(("EXPN", "ETRN"), not_offered)
    | dict.fromkeys(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"), http)
)
"""Functions of all recognised verbs."""
