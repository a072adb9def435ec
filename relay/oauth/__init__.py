"""OAuth2 for providers and the bounce mailbox: access tokens, refresh tokens, logins."""
