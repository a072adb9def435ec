"""Renders the message of one recipient: rewritten and signed, in worker processes."""
