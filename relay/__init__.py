"""relay: an SMTP relay that tracks, signs, limits, retries and tells every message's story."""
