"""The compiled functions of this package, if they were built (docs/compiled-code.md)."""

try:
    from relay.mail import _native as native
except ImportError:
    native = None  # type: ignore[assignment]

IS_COMPILED = native is not None

__all__ = ["IS_COMPILED", "native"]
