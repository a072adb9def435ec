"""Runs the command `relay` as `python -m relay.cli`."""

from relay.cli import main

main(prog_name="relay")
