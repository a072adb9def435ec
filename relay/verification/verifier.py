"""Runs the verification steps."""

from dataclasses import dataclass
from typing import assert_never

from relay.log import Emit
from relay.mail.canonical_address import canonical, domain_of
from relay.reports.serialize import JsonObject
from relay.verification.cc_forwarding import try_forwarder
from relay.verification.challenge import PER_HOUR, withdraw
from relay.verification.code_steps import try_receiving, try_sender
from relay.verification.codes import enter_code
from relay.verification.context import VerificationContext
from relay.verification.dns_check import check_records
from relay.verification.model import Decision, Step, TestStep, Verification
from relay.verification.result import Result, as_verification, is_complete, result_json
from relay.verification.sending import try_sending
from relay.verification.verified_senders import VerifiedSenders


@dataclass(frozen=True, slots=True)
class Verifier:
    """Runs steps and stores their results; reloads `proven` when a verification changes."""

    tools: VerificationContext
    proven: VerifiedSenders
    log: Emit

    async def run(self, address: str, step: TestStep, to: tuple[str, ...] = ()) -> JsonObject:
        """Run one step of the test; `to` replaces the identity's readers in the sending step.

        Raises StoreError.
        """
        identity = canonical(address)
        match step:
            case "sending":
                result = await try_sending(self.tools, identity, to)
            case "receiving":
                result = await try_receiving(self.tools, identity)
                if not result.queue_id:  # No code was sent: the previous state remains.
                    return await self._report(identity, result, self.tools.clock())
            case "tracking":
                from relay.verification.tracking import try_tracking  # Not at the top: it loads HTTP.

                result = await try_tracking(self.tools, identity)
            case "cc":
                result = await try_forwarder(self.tools, identity)
            case _:
                assert_never(step)

        return await self._save(identity, identity, result)

    async def prove(self, address: str, limit: int = PER_HOUR) -> JsonObject:
        """Send a code to verify an address, unless `limit` were sent within an hour.

        Addresses of the platform's domain are verified by DNS instead. A verified address remains verified while
        another code is pending. Raises StoreError.
        """
        identity = canonical(address)
        if domain_of(identity) == self.tools.settings().server.identities_domain:
            return await self.check(identity)
        result = await try_sender(self.tools, identity, limit)
        if result.queue_id and not self.proven(identity):
            return await self._save(identity, identity, result)
        return await self._report(identity, result, self.tools.clock())

    async def confirm_code(self, address: str, code: str) -> JsonObject:
        """Confirm an identity by a code. Raises StoreError."""
        identity = canonical(address)
        result = await enter_code(self.tools, identity, code)
        if result.state == "passed":
            await self.proven.load()
        return await self._report(identity, result, self.tools.clock())

    async def withdraw(self, address: str) -> bool:
        """Withdraw the proof by code of an address, and void its code and link. Raises StoreError.

        Returns whether the address is still verified, by the DNS of its domain.
        """
        identity, now = canonical(address), self.tools.clock()
        text = "withdrawn by the operator"
        steps: tuple[Step, ...] = ("sender", "receiving")
        proofs = tuple(Verification(identity, step, "failed", now, text) for step in steps)
        await self.tools.store.decide(identity, lambda before: Decision(withdraw(before), proofs, None))
        await self.proven.load()
        self.log("identity.verified", identity=identity, step="sender", state="failed")
        return self.proven(identity)

    async def check(self, address: str) -> JsonObject:
        """Verify the domain of an identity by its DNS. Raises StoreError."""
        identity = canonical(address)
        form = await self._save(identity, domain_of(identity), await check_records(self.tools, identity))
        await self.proven.load()
        return form

    async def _save(self, identity: str, subject: str, result: Result) -> JsonObject:
        now = self.tools.clock()
        await self.tools.store.verify(as_verification(result, subject, now))
        return await self._report(identity, result, now)

    async def _report(self, identity: str, result: Result, now: float) -> JsonObject:
        self.log("identity.verified", identity=identity, step=result.step, state=result.state, queue_id=result.queue_id)
        complete = is_complete(tuple(await self.tools.store.find(identity)))
        return result_json(identity, result, now, complete=complete)
