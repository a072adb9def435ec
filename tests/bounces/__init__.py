"""How well bounces are understood, on labelled replies and mails: `python -m tests.bounces`."""
