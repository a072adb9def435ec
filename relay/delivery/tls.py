"""TLS towards other servers (RFC 3207, RFC 7435, RFC 8996).

A mail exchanger found by DNS proves nothing by its certificate, so any is taken: that keeps listeners out, which is
better than clear text. A provider is one we know by name and give a password to: its certificate is verified against
the system's store, unless it sits on a loopback address.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property


class Security(Enum):
    """When a connection is encrypted."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    """STARTTLS or nothing."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314)."""


class Trust:
    """The TLS contexts, made when they are first needed: loading the system's store takes a while."""

    def __init__(self, verifying: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> None:
        self._make_verifying = verifying

    @cached_property
    def verified(self) -> ssl.SSLContext:
        """Encrypt, and make sure that it is the host we mean."""
        context = self._make_verifying()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    @cached_property
    def unverified(self) -> ssl.SSLContext:
        """Encrypt, whoever it is."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a provider knows us by."""

    username: str
    password: str
