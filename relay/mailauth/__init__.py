"""DKIM signing and verification, SPF, DMARC, and their results."""
