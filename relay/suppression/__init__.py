"""Suppressed and unsubscribed addresses, each with the evidence or the source of its row."""
