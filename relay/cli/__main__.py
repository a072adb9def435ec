"""`python -m relay.cli` is the command `relay`."""

from relay.cli import main

main(prog_name="relay")
