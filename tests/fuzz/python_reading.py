"""What `email.headerregistry` reads in an address field."""

from email.headerregistry import HeaderRegistry

from relay.mail.canonical_address import canonical, quoted_if_needed


def seen_by_python(value: str) -> set[str]:
    """Return the addresses that Python sees in a From field, in canonical form; none where its reader breaks."""
    try:
        addresses = getattr(HeaderRegistry()("From", value.replace("\r\n", "")), "addresses")  # noqa: B009
    except (AttributeError, IndexError, ValueError, TypeError, RecursionError):
        return set()  # Its reader raises for some fields that ours reads or refuses: bpo-41585 and others.
    return {canonical(f"{quoted_if_needed(one.username)}@{one.domain}") for one in addresses if one.domain}
