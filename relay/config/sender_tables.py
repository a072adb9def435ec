"""The tables of senders, and the files that `relay` writes them to."""

from relay.config.table_files import TableName


def identity_table(address: str) -> TableName:
    """Return `[identities."ADDRESS"]`."""
    return TableName("identity", ("identities", address))


def domain_table(domain: str) -> TableName:
    """Return `[domains."DOMAIN"]`."""
    return TableName("domain", ("domains", domain))
