"""The compiled functions of this package, if they were built (docs/compiled-code.md)."""

from typing import TYPE_CHECKING

from relay.mail.native_loader import load_native

if TYPE_CHECKING:
    from relay.rewrite import _native as native

    FAULT = ""
else:
    native, FAULT = load_native("relay.rewrite")

IS_COMPILED = native is not None

__all__ = ["FAULT", "IS_COMPILED", "native"]
