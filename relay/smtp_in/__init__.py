"""The SMTP server: session → Transaction → accept → Reply. It speaks the protocol; whoever it serves decides.

`wire` and `connection` hold a client's connection, `commands`, `auth` and `content` what can be said on it, `body` the
content while it comes in, `throttle` the patience with wrong secrets, `server` the listening.
"""

from relay.smtp_in.ports import Acceptor
from relay.smtp_in.resources import Resources
from relay.smtp_in.server import SmtpServer, tls_context

__all__ = ["Acceptor", "Resources", "SmtpServer", "tls_context"]
