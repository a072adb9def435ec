"""What the SMTP server asks of others. It takes no decision of its own."""

from typing import Protocol

from relay.mail.envelope import Envelope, Recipient
from relay.mail.reply import Reply
from relay.mail.session import Session, Transaction


class Acceptor(Protocol):
    """Decides who may do what, and takes messages over."""

    async def authenticate(self, session: Session, username: str, secret: str) -> str | None:
        """Return the name of the credential, None when name or secret is wrong; as slow for one as for the other."""
        ...

    def may_send(self, session: Session, envelope: Envelope) -> Reply | None:
        """Answer MAIL: None to go on, else the refusal. The envelope has no recipients yet."""
        ...

    def may_receive(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Answer RCPT: None to go on, else the refusal. The envelope has the recipients taken before."""
        ...

    async def accept(self, transaction: Transaction) -> Reply:
        """Answer the final dot. When the reply is positive the message is durable.

        Once begun it runs to its end, whatever becomes of the client.
        """
        ...
