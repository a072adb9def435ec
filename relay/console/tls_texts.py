"""The words for the encryption of a connection to a server, in forms and on pages. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal

from relay.console.form_fields import Option

Encryption = Literal["starttls", "implicit", "none"]

TLS_TEXTS: Mapping[str, str] = {"starttls": "STARTTLS", "implicit": "TLS from the start", "none": "None"}


def tls_options(*values: Encryption) -> Sequence[Option]:
    """Return the choices of a form, in this order: the first one is the default."""
    return [Option(one, "None, only on this machine" if one == "none" else TLS_TEXTS[one]) for one in values]
