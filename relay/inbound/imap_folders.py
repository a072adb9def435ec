"""The folders of the bounce mailbox, as its server lists them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from relay.config.settings import Imap
from relay.inbound.imap_connection import MailboxError
from relay.inbound.imap_mailbox import Folder, Mailbox
from relay.inbound.imap_token import with_token
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


async def folders_json(account: Imap | None, tokens: AccessTokens) -> Mapping[str, object]:
    """Return the folders of an account, or why they cannot be listed, as JSON of the admin socket."""
    if account is None:
        return {"error": "the running relay has no [bounces.imap]"}
    read = partial(asyncio.to_thread, read_folders, account)
    try:
        found = await (with_token(tokens, read) if account.oauth else read())
    except MailboxError as error:
        return {"error": str(error)}
    return {"folders": list(map(asdict, found.folders)), "prefix": found.prefix}
