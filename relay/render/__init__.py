"""One recipient's bytes: the stored message rewritten and signed, in worker processes."""
