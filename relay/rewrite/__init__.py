"""Adds tracking to a message by splicing bytes: only the links change, and the pixel is inserted. Pure."""
