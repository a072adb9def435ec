"""Parses inbound mail and finds the message it is about."""

import asyncio
from collections.abc import Callable, Sequence

from relay.config.settings import Settings
from relay.domains.mail_exchanger import MailExchanger
from relay.dsn.report import Report
from relay.inbound.addresses import (
    MessageAddress,
    UnsubscribeAddress,
    addressees,
    parse_own_address,
    token_in,
)
from relay.inbound.correlate import Match, match_author, match_report, match_thread, match_token
from relay.inbound.inbound_mail import READ, InboundMail
from relay.mail.transaction import Transaction
from relay.reports.ports import StoryStore
from relay.rewrite.tokens import Keyring, Kind, Token


async def parse_mail(
    settings: Settings,
    keyring: Keyring,
    exchanger_of: Callable[[str], MailExchanger],
    now: float,
    content: bytes,
    recipient: str,
    transaction: Transaction | None,
) -> InboundMail:
    """Parse a mail. `recipient` is the address it was sent to, "" if unknown (bounce mailbox)."""
    report = await asyncio.to_thread(_report, content[:READ])
    destination = parse_own_address(settings, keyring, recipient, exchanger_of, now)
    if not recipient and (leaving := token_in(keyring, addressees(content), (Kind.LIST_UNSUBSCRIBE,))):
        destination = UnsubscribeAddress(leaving)
    if isinstance(destination, MessageAddress | UnsubscribeAddress):
        token: Token | None = destination.token
    else:
        # Ordinary mail may quote a token, or be relay's own with a signed Reply-To: only its addressees count.
        searched = addressees(content) if report.kind == "other" else content
        token = await asyncio.to_thread(token_in, keyring, searched)
    return InboundMail(content, report, recipient, destination, token, transaction)


async def find_matches(stories: StoryStore, mail: InboundMail, hostname: str) -> Sequence[Match]:
    """Return the recipients the mail is about, with their fields in the report."""
    identity = mail.identity
    if mail.token is not None:
        return await match_token(stories, mail.token, mail.report, identity)
    if not mail.is_answer:
        return await match_report(stories, mail.report, identity, hostname)
    found = await match_thread(stories, mail.content, mail.report, identity)
    if found or not identity:
        return found
    return await match_author(stories, mail.content, mail.report, identity)


def _report(content: bytes) -> Report:
    """Parse a report. Imported here: the patterns take a tenth of a second to compile, which would delay the start."""
    from relay.dsn.parse import parse

    return parse(content)
