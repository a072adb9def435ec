"""The demo's receiving side: an SMTP server that keeps what it gets in memory."""

import asyncio
from dataclasses import dataclass, field

from relay.mail.envelope import Envelope, Recipient
from relay.mail.reply import Reply
from relay.mail.session import Session, Transaction


@dataclass(slots=True)
class Mailbox:
    """Takes every mail, and refuses everybody called `nobody`."""

    mails: list[Transaction] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def authenticate(self, session: Session, username: str, secret: str) -> str | None:  # noqa: ARG002
        """Nobody needs to authenticate."""
        return None

    def may_send(self, session: Session, envelope: Envelope) -> Reply | None:  # noqa: ARG002
        """Anybody may."""
        return None

    def may_receive(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:  # noqa: ARG002
        """Everybody but `nobody` lives here."""
        if recipient.address.startswith("nobody@"):
            return Reply(550, "5.1.1", f"<{recipient.address}>: there is nobody of that name here")
        return None

    async def accept(self, transaction: Transaction) -> Reply:
        """Keep the mail."""
        self.mails.append(transaction)
        self._arrived.set()
        return Reply(250, "2.0.0", f"Ok: kept as number {len(self.mails)}")

    async def wait_for(self, count: int, seconds: float) -> bool:
        """Wait until that many mails are here; False when they did not come in time."""
        deadline = asyncio.get_running_loop().time() + seconds
        while len(self.mails) < count:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), deadline - asyncio.get_running_loop().time())
            except TimeoutError:
                return False
        return True
