"""The dashboard: read-only pages for the operators of a running relay."""
