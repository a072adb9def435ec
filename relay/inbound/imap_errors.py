"""Errors of the bounce mailbox. Loads no IMAP client."""


class MailboxError(Exception):
    """The mailbox cannot be read now; the text names the server and the step that failed."""


class LoginRefusedError(MailboxError):
    """The server refuses the login."""
