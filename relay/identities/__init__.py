"""Who may send as what; here, the DNS records by which a sending domain is believed: SPF, DKIM, DMARC."""
