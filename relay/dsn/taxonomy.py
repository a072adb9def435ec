"""The categories of delivery failures, twenty-six of them.

Settling reads from one what to do with the queue entry, the suppression list what to do with the address, a lane what
to do with itself, reports the title and the guidance.
"""

from relay.dsn import categories_address, categories_message, categories_transport
from relay.dsn.category import Category

TAXONOMY: dict[str, Category] = {
    category.name: category
    for room in (categories_address, categories_message, categories_transport)
    for category in room.CATEGORIES
}
"""Every category by its name."""
