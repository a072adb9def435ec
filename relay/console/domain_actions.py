"""Actions on sending domains: look at the DNS now, make the next key, remove."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from relay.config.settings import Settings
from relay.console.confirmations import Action, ConfirmationPages, Done, Question
from relay.console.domain_forms import own_domain
from relay.console.domain_removal import DomainRemoval
from relay.console.forms import form_of
from relay.console.page_urls import path_segment
from relay.console.roles import Role, viewer_of
from relay.domains.key_rotation import RotationError
from relay.domains.signing_keys import SigningKeys
from relay.mailauth.dkim_keys import ALGORITHMS, KeyFaultError, record_name
from relay.people.ports import Plan

BITS = 2048
"""Bits of an RSA key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainActions:
    """POST /domains/DOMAIN/actions."""

    confirmations: ConfirmationPages
    signing: SigningKeys
    settings: Callable[[], Settings]
    removal: DomainRemoval

    def __post_init__(self) -> None:
        self.confirmations.actions["domain.rotate"] = Action(Role.OPERATOR, _question, self._rotate)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Do what the form names. Raises StoreError."""
        domain, form = own_domain(request, self.settings()), await form_of(request)
        action, page, viewer = form.get("action", ""), f"/domains/{path_segment(domain)}", viewer_of(request)
        if action == "look":
            watched = self.signing.watch.find(domain)
            since = watched.checked_at if watched else 0.0
            await self.signing.watch.schedule_check(domain)
            await self.confirmations.audit.note("domain.look", person=viewer.name, client=viewer.client, subject=domain)
            raise web.HTTPSeeOther(f"{page}?looking={since!r}")
        if action == "remove":
            return await self.removal.ask(request, domain, page)
        if action != "rotate":
            raise web.HTTPBadRequest(text=f"There is no action {action[:80]}.")
        kind = form.get("algorithm", "rsa")
        if kind not in ALGORITHMS:
            raise web.HTTPBadRequest(text=f"The algorithm is one of {', '.join(ALGORITHMS)}.")
        return await self.confirmations.ask(request, "domain.rotate", [domain], {"algorithm": kind}, page)

    async def _rotate(self, plan: Plan) -> Done:
        (domain,) = plan.keys
        if domain not in self.settings().domains:
            return Done("No key was made.", f"{domain} is no sending domain any more.", "bad", domain, "", "refused")
        try:
            key = await self.signing.rotate(domain, ALGORITHMS[plan.detail["algorithm"]], BITS)
        except (RotationError, KeyFaultError, OSError) as error:
            text = str(error)
            return Done("No key was made.", f"{text[:1].upper()}{text[1:]}.", "bad", domain, "", "refused")
        name = record_name(key.selector, domain)
        follows = f"Publish the record {name}, which its page shows. It signs once DNS has shown it for some minutes."
        return Done(f"The key {key.selector} of {domain} is made.", follows, "ok", domain, "", f"key {key.selector}")


def _question(plan: Plan) -> Question:
    texts = (
        "It is made on this server, and gets a selector that is free. The present key signs until DNS has the new one.",
        "Keep the record of the present key published until its page says that it is not needed any more.",
    )
    kind = "RSA" if plan.detail["algorithm"] == "rsa" else "Ed25519"
    return Question(f"Make the next {kind} key of {plan.keys[0]}?", texts, "Make the key", "Keep the present one")
