"""The fields that libraries write for any service: X-Tag, X-Metadata and X-Metadata-<key> (Symfony Mailer, Anymail)."""

from relay.mail.dialects.field_values import metadata_object, tag

FIELDS = {"x-tag": tag, "x-metadata": metadata_object}

METADATA_PREFIX = "x-metadata-"
"""Begin of fields whose name ends with the key of metadata."""
