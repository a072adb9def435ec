"""The tables that relay writes to files of their own."""

from relay.config.table_files import TableName

MAILBOX = TableName("mailbox", ("bounces", "imap"))
"""`[bounces.imap]`."""


def identity_table(address: str) -> TableName:
    """Return `[identities."ADDRESS"]`."""
    return TableName("identity", ("identities", address))


def domain_table(domain: str) -> TableName:
    """Return `[domains."DOMAIN"]`."""
    return TableName("domain", ("domains", domain))


def credential_table(name: str) -> TableName:
    """Return `[credentials.NAME]`."""
    return TableName("credential", ("credentials", name))


def provider_table(name: str) -> TableName:
    """Return the `[[provider]]` of that name."""
    return TableName("provider", ("provider", name), is_element=True)


def webhook_table(name: str) -> TableName:
    """Return the `[[webhook]]` of that name."""
    return TableName("webhook", ("webhook", name), is_element=True)


def person_table(address: str) -> TableName:
    """Return `[console.people."ADDRESS"]`."""
    return TableName("person", ("console", "people", address))
