"""A TLS context with a certificate of its own, for sessions inside the process."""

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from relay.config.self_signed import self_signed_certificate


def self_signed_context(name: str, now: float) -> ssl.SSLContext:
    """Return a server context with a new key and a certificate for that name, valid from `now` (Unix time) on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A context takes a key from a file only.
    with TemporaryDirectory() as folder:
        file = Path(folder) / "pair.pem"
        file.write_bytes(self_signed_certificate(name, now))
        context.load_cert_chain(file)
    return context
