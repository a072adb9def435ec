"""Encodes values as compact JSON in ASCII.

`json.JSONEncoder` makes its encoder in C anew for each value, which takes as long as to encode a small one.
"""

from collections.abc import Callable
from json import JSONEncoder, encoder

_make = getattr(encoder, "c_make_encoder", None)
"""Makes the encoder in C. It is not documented; other interpreters may have none."""


def json_encoder(default: Callable[[object], object] | None = None) -> Callable[[object], str]:
    """Return a function that encodes values. `default` replaces those that JSON does not have."""
    documented = JSONEncoder(separators=(",", ":"), check_circular=False, default=default)
    if _make is None:
        return documented.encode
    pieces = _make(None, documented.default, encoder.encode_basestring_ascii, None, ":", ",", False, False, True)

    def encode(value: object) -> str:
        return "".join(pieces(value, 0))

    return encode
