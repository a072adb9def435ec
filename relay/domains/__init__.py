"""Sending domains: DNS records, checks and keys."""
