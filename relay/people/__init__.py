"""People who log in to the console: roles, passwords, codes of apps, sessions, and the audit of their changes."""
