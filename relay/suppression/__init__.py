"""Addresses that are sent nothing any more, each with the evidence that put it there."""
