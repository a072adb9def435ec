"""Getting mail to other servers: route, TLS, kept connections, pipelined transactions, outcomes.

`lane` and `route` say where mail goes, `guard` where it may never go, `commands`, `replies` and `transaction` what is
said and what it means: all pure. `wire`, `session`, `dial`, `places` and `client` do the talking.
"""

from relay.delivery.smtp_delivery import SmtpDelivery

__all__ = ["SmtpDelivery"]
