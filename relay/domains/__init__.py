"""Sending domains: their DNS records and checks, and the DKIM keys."""
