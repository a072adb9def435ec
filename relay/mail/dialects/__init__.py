"""The header fields by which applications instruct mail services: each service has its dialect. Pure.

`DIALECTS` has the fields of each. relay reads them, follows what it can, records the rest as ignored, and removes the
fields. A mail from one of their applications needs another host and password only.
"""
