"""DKIM, SPF and DMARC."""
