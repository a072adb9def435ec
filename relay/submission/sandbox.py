"""Recipients of the simulator, and sandbox mail that goes to other addresses than its recipients. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from relay.mail.canonical_address import canonical
from relay.mail.simulator_words import Simulator
from relay.mail.transaction import Recipient, Transaction
from relay.policy.decide import Acceptance

ALWAYS_SUPPRESSED = "suppressed: the simulator has this address on the list for good"
"""Why mail to the word `suppressed` is dropped."""


def simulate(transaction: Transaction, accepted: Acceptance, words: Simulator) -> tuple[Transaction, Acceptance]:
    """Return the message with its simulated recipients marked, and the others replaced if the sandbox says so."""
    if accepted.policy.sandbox or not (accepted.deliver_to or words.domain):
        return transaction, accepted
    if accepted.deliver_to:
        transaction, former = _redirected(transaction, accepted.deliver_to, words)
        accepted = replace(accepted, policy=replace(accepted.policy, original_to=former))
    is_sandbox = bool(accepted.deliver_to)
    recipients = transaction.envelope.recipients
    found = [number for number, one in enumerate(recipients) if words.answers(one.address, sandbox=is_sandbox)]
    if not found:
        return transaction, accepted
    return transaction, replace(accepted, policy=replace(accepted.policy, simulated=tuple(found)))


def always_suppressed(words: Simulator, addresses: Iterable[str], *, sandbox: bool) -> Mapping[str, str]:
    """Return the addresses that the simulator has on the list for good, with the reason, by canonical address."""
    return {canonical(one): ALWAYS_SUPPRESSED for one in addresses if words.is_suppressed(one, sandbox=sandbox)}


def _redirected(
    transaction: Transaction, deliver_to: tuple[str, ...], words: Simulator
) -> tuple[Transaction, tuple[str, ...]]:
    """Return the transaction with each recipient replaced by these addresses, and the former recipients by number.

    The simulator still answers its own recipients.
    """
    recipients: list[Recipient] = []
    former: list[str] = []
    for one in transaction.envelope.recipients:
        is_word = words.answers(one.address, sandbox=True)
        new = (one,) if is_word else tuple(replace(one, address=address) for address in deliver_to)
        recipients += new
        former += ["" if is_word else one.address] * len(new)
    envelope = replace(transaction.envelope, recipients=tuple(recipients))
    return replace(transaction, envelope=envelope), tuple(former)
