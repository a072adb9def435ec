"""What the SMTP server (`relay.smtp_in`) is made of.

`wire` and `connection` hold a client's connection, `commands`, `auth` and `content` what can be said on it, `body` the
content while it comes in, `throttle` the patience with wrong secrets, `resources` what all listeners share.
"""
