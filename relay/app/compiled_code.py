"""Which functions are compiled, for the log and `relay status` (docs/compiled-code.md)."""

from relay.mail import native
from relay.rewrite import fast_path

REWRITER = "compiled" if fast_path.IS_COMPILED else "python"
"""The rewriter in use."""

NATIVE_FAULTS = [fault for fault in (native.FAULT, fast_path.FAULT) if fault]
"""Why compiled code that was built is not used."""
