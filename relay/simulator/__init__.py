"""The receiver inside the relay, which answers simulated mail, and what follows mail that it accepts."""
