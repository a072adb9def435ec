"""Parts of the SMTP server (`relay.smtp_in`).

`stream` and `connection` serve one client. `commands`, `auth` and `data` implement the commands. `body` stores content
as it arrives. `service` has the state shared by connections.
"""
