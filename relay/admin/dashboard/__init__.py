"""The dashboard: pages that show a running relay to its operators, and change nothing."""
