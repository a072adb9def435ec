"""The folders of the bounce mailbox, as its server lists them."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from ipaddress import ip_address

from relay.config.settings import Imap
from relay.inbound.imap_errors import MailboxError
from relay.inbound.imap_mailbox import Folder, Mailbox
from relay.inbound.imap_token import with_token
from relay.mail.public_address import is_never_a_server
from relay.oauth.tokens import AccessTokens


@dataclass(frozen=True, slots=True)
class Folders:
    """All folders by name, and the prefix of their names, "" for none."""

    folders: Sequence[Folder]
    prefix: str


def read_folders(account: Imap, token: str = "") -> Folders:
    """Return the folders of an account. Blocking. Raises MailboxError.

    `token` is an access token that takes the place of the password.
    """
    mailbox = Mailbox(account)
    try:
        mailbox.open(token)
        found = Folders(mailbox.folders(), mailbox.prefix())
        mailbox.close()
    finally:
        mailbox.abandon()
    return found


async def folders_of(account: Imap, tokens: AccessTokens) -> Folders:
    """Return the folders of an account. With OAuth2 it is that of the settings in force. Raises MailboxError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(account.host, account.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise MailboxError(f"{account.host}: {error.strerror or error}") from error
    for *_, place in found:
        if is_never_a_server(ip_address(str(place[0]).partition("%")[0])):
            raise MailboxError(f"{account.host} is at {place[0]}, where no mail server is")
    read = partial(asyncio.to_thread, read_folders, account)
    return await (with_token(tokens, read) if account.oauth else read())


async def folders_json(account: Imap | None, tokens: AccessTokens) -> Mapping[str, object]:
    """Return the folders of an account, or why they cannot be listed, as JSON of the admin socket."""
    if account is None:
        return {"error": "the running relay has no [bounces.imap]"}
    try:
        found = await folders_of(account, tokens)
    except MailboxError as error:
        return {"error": str(error)}
    return {"folders": list(map(asdict, found.folders)), "prefix": found.prefix}
