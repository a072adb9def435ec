"""Decides whether a reverse-path belongs to the client that gave it, so that notifications may go there. Pure."""

from collections.abc import Sequence

from relay.config.settings import Settings
from relay.mail.canonical_address import domain_of
from relay.mail.registrable_domain import registrable


def is_own_sender(settings: Settings, reverse_path: str, authors: Sequence[str]) -> bool:
    """Whether a submitted reverse-path is of the domain of an author, or of a domain of this relay.

    The client was accepted as that author, by its credential or its network. `refuse_sender` refuses addresses of
    identities of others. Any other address is an outsider's: nothing but SPF or DKIM proves it.
    """
    organisation = registrable(domain_of(reverse_path))
    if organisation in {registrable(domain_of(one)) for one in authors}:
        return True
    return organisation in settings.organisations
