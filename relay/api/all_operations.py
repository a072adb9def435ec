"""All operations of the API, and the document that describes them."""

from typing import Any

from relay import __version__
from relay.api.events import EVENTS
from relay.api.exposed_routes import EXPOSED
from relay.api.message_operations import BATCH, CANCEL, LIST, READ, SEND, SENT
from relay.api.openapi import openapi

OPERATIONS = (SEND, BATCH, LIST, READ, SENT, CANCEL, *(one.operation for one in EXPOSED), EVENTS)


def description() -> dict[str, Any]:
    """Return the OpenAPI document, as a server has it."""
    return openapi(OPERATIONS, __version__)
