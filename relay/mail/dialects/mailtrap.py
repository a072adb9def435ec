"""The header fields of Mailtrap, as the bridge of Symfony writes them."""

from relay.mail.dialects.field_values import metadata_object, tag

FIELDS = {"x-mt-category": tag, "x-mt-custom-variables": metadata_object}
