"""Spam filters that check mail before it is queued: rspamd and spamd."""
