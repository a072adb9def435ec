"""Delivers mail to other servers by SMTP: MX hosts, TLS, idle connections, pipelined transactions, outcomes.

`mx`, `commands`, `reply_parser` and `transaction` are pure. The other modules do the I/O.
"""

from relay.delivery.smtp_delivery import SmtpDelivery

__all__ = ["SmtpDelivery"]
