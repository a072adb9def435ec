"""The taxonomy: complete, consistent, and safe for the suppression list."""

import pytest

from relay.dsn.categories import CATEGORIES
from relay.dsn.category import Category


def test_there_are_twenty_seven() -> None:
    assert len(CATEGORIES) == 27


@pytest.mark.parametrize("category", CATEGORIES.values(), ids=lambda category: category.name)
def test_each_explains_what_it_is_and_what_to_do(category: Category) -> None:
    assert category.title
    assert category.guidance
    assert all(line.endswith(".") for line in category.guidance)
    assert category.fixed_by


def test_only_the_address_itself_is_suppressed_at_once() -> None:
    assert {name for name, category in CATEGORIES.items() if category.suppression in ("now", "on-permanent")} == {
        "bad_mailbox",
        "bad_domain",
        "mailbox_disabled",
    }


def test_what_is_not_the_recipients_fault_is_never_counted_against_it() -> None:
    for name in ("blocked", "auth_failed", "credentials", "tls", "rate_limited", "network", "spam_content"):
        assert CATEGORIES[name].suppression == "never"
