"""Which functions are compiled, for the log and `relay status` (docs/compiled-code.md)."""

from relay.mail import native as mail
from relay.rewrite import native as rewriter

REWRITER = "compiled" if rewriter.IS_COMPILED else "python"
"""The rewriter in use."""

NATIVE_FAULTS = [fault for fault in (mail.FAULT, rewriter.FAULT) if fault]
"""Why compiled code that was built is not used."""
