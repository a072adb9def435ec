"""Sends and confirms codes: to the readers of an identity (receiving), or to its own address (sender)."""

from collections.abc import Callable
from typing import Literal

from relay.limits.quota import Quota, TooMany, subject_of
from relay.mail.canonical_address import canonical
from relay.reports.serialize import time_json
from relay.rewrite.tokens import Kind, Token, sign_token
from relay.verification.challenge import (
    LIFETIME,
    PER_HOUR,
    Answer,
    Challenge,
    Confirmed,
    code_of,
    digest_of,
    follow_link,
    issue,
    try_code,
)
from relay.verification.context import VerificationContext, readers_of
from relay.verification.messages import code_mail
from relay.verification.model import Decision, Verification
from relay.verification.result import Remark, Result, failed

_SALT = 16

CodeStep = Literal["receiving", "sender"]
"""`receiving`: the code goes to the readers of the identity; `sender`: to its own address, which it verifies."""

PER_ADDRESS = 10
"""Codes that are sent to one address within an hour, at most: several identities may have the same readers."""


async def send_code(tools: VerificationContext, identity: str, step: CodeStep, limit: int = PER_HOUR) -> Result:
    """Send a code, unless `limit` were sent within an hour; `enter_code` or `confirm_link` confirm it.

    The step is pending until then. Raises StoreError.
    """
    settings, keyring, now = tools.settings(), tools.keyring(), tools.clock()
    readers = readers_of(settings, identity) if step == "receiving" else (identity,)
    queue_id = tools.new_id(now)
    code, salt = code_of(tools.random_number()), tools.random_bytes(_SALT).hex()
    fresh = Challenge(identity, ", ".join(readers), salt, digest_of(keyring.keys[0][1], salt, code), queue_id, ())

    def issuing(before: Challenge | None) -> Decision[Challenge | TooMany]:
        issued = issue(before, fresh, limit, now)
        return Decision(issued if isinstance(issued, Challenge) else before, (), issued)

    key = keyring.keys[0][1]
    quotas = [Quota(subject_of(key, "codes sent to", canonical(one)), PER_ADDRESS) for one in readers]
    issued = await tools.store.decide_within(quotas, now, identity, issuing)
    if isinstance(issued, TooMany):
        again = f"again at {time_json(issued.again_at)}; the last code may still be good"
        return failed(
            step, f"{limit} codes for {identity}, or {PER_ADDRESS} to its readers, were sent within an hour", again
        )
    base_url, page = settings.base_url_for(identity), settings.verification_page(identity)
    link = f"{base_url}/v/{sign_token(keyring, Token(Kind.VERIFY, queue_id, 0))}" if base_url else ""
    mail = code_mail(queue_id, identity, readers, code, link, page)
    reply = await tools.send(queue_id, identity, readers, mail)
    if reply.code != 250:
        return failed(step, f"the relay itself refused the mail with the code: {reply}")
    text = f"a code is on its way to {issued.sent_to}, good for {LIFETIME / 60:.0f} minutes"
    at_page = f", or type it in at {page}" if page else ""
    fix = f"relay identity verify {identity} --otp CODE{at_page}, or follow the link in the mail"
    remarks = (Remark("ok", text, fix), *await _delays(tools, queue_id, now))
    return Result(step, "pending", remarks, queue_id)


async def _delays(tools: VerificationContext, queue_id: str, now: float) -> tuple[Remark, ...]:
    """Return a warning when rate limits delay the mail with the code."""
    story = await tools.story(queue_id)
    late = max((entry.release_at for entry in story.entries), default=0.0) if story else 0.0
    if late <= now:
        return ()
    fix = "wait for that, or raise the identity's limits; then have a new code sent"
    return (Remark("warning", f"the sending limit is used up: the mail leaves at {time_json(late)}", fix),)


async def enter_code(tools: VerificationContext, identity: str, code: str) -> Result:
    """Try to confirm the identity by a code. Raises StoreError."""
    step, answer = await tools.store.decide(identity, entering(tools, identity, code))
    if not isinstance(answer, Confirmed):
        again = " --step receiving" if step == "receiving" else ""
        return failed(step, f"the code {answer.why}", f"relay identity verify {identity}{again} sends a new one")
    confirmed = Remark("ok", _confirmed(answer))
    if step == "sender":
        return Result("sender", "passed", (confirmed,))
    text = f"this proves where answers arrive, not that {identity} is yours"
    return Result("receiving", "passed", (confirmed, Remark("warning", text, f"relay identity verify {identity}")))


def entering(
    tools: VerificationContext, identity: str, code: str
) -> Callable[[Challenge | None], Decision[tuple[CodeStep, Answer]]]:
    """Return the decision about a code that was entered now for an identity."""
    key, now = tools.keyring().keys[0][1], tools.clock()

    def decide(before: Challenge | None) -> Decision[tuple[CodeStep, Answer]]:
        after, answer = try_code(before, key, code.strip(), now)
        return Decision(after, _proofs(after, answer, now), (_step_of(before, identity), answer))

    return decide


async def pending_link(tools: VerificationContext, queue_id: str) -> Challenge | None:
    """Return the challenge that the link of that mail confirms or has confirmed, None if none. Raises StoreError."""
    challenge = await tools.store.challenge_by(queue_id)
    _, answer = follow_link(challenge, queue_id, tools.clock())
    return challenge if isinstance(answer, Confirmed) else None


async def confirm_link(tools: VerificationContext, queue_id: str) -> Challenge | None:
    """Confirm by the link of that mail; return the challenge it confirms, None if none. Raises StoreError."""
    challenge = await tools.store.challenge_by(queue_id)
    if challenge is None:
        return None
    now = tools.clock()

    def following(before: Challenge | None) -> Decision[Challenge | None]:
        after, answer = follow_link(before, queue_id, now)
        proofs = _proofs(after, answer, now) if before != after else ()
        return Decision(after, proofs, after if isinstance(answer, Confirmed) else None)

    return await tools.store.decide(challenge.identity, following)


def _step_of(challenge: Challenge | None, identity: str) -> CodeStep:
    """Return the step that the code of a challenge belongs to."""
    return "receiving" if challenge is not None and challenge.sent_to != identity else "sender"


def _proofs(challenge: Challenge | None, answer: Answer, now: float) -> tuple[Verification, ...]:
    """Return what a confirmation proves: mail arrives; the address itself, if the code was sent only there."""
    if challenge is None or not isinstance(answer, Confirmed):
        return ()
    identity, text = challenge.identity, _confirmed(answer)
    receiving = Verification(identity, "receiving", "passed", now, text, challenge.queue_id)
    if _step_of(challenge, identity) == "receiving":
        return (receiving,)
    return (receiving, Verification(identity, "sender", "passed", now, text))


def _confirmed(answer: Confirmed) -> str:
    return f"the code sent to {answer.sent_to} came back"
