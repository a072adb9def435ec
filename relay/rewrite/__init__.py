"""Tracking put into a message by splicing bytes, pure: nothing but the links and the pixel changes."""
