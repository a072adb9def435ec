"""Builds, starts, reloads and stops one relay."""
