"""The receiving step: a code goes to where somebody reads for the identity; entering it, or its link, confirms that."""

from relay.reports.serialize import time_form
from relay.rewrite.tokens import Kind, Token, sign_token
from relay.verification.challenge import (
    LIFETIME,
    PER_HOUR,
    Answer,
    Challenge,
    Confirmed,
    TooMany,
    code_of,
    digest_of,
    follow_link,
    issue,
    try_code,
)
from relay.verification.context import Tools, readers_of
from relay.verification.messages import code_mail
from relay.verification.model import Decision, Verification
from relay.verification.result import Remark, Result, failed

_SALT = 16


async def send_code(tools: Tools, identity: str) -> Result:
    """Send a code; the step is pending until `enter_code` or `confirm_link` brings it back. Raises StoreError."""
    settings, keyring, now = tools.settings(), tools.keyring(), tools.clock()
    readers = readers_of(settings, identity)
    queue_id = tools.new_id(now)
    code, salt = code_of(tools.random_number()), tools.random_bytes(_SALT).hex()
    fresh = Challenge(identity, ", ".join(readers), salt, digest_of(keyring.keys[0][1], salt, code), queue_id, ())

    def issuing(before: Challenge | None) -> Decision[Challenge | TooMany]:
        issued = issue(before, fresh, now)
        return Decision(issued if isinstance(issued, Challenge) else before, (), issued)

    issued = await tools.store.decide(identity, issuing)
    if isinstance(issued, TooMany):
        again = f"again at {time_form(issued.again_at)}; the last code may still be good"
        return failed("receiving", f"{PER_HOUR} codes were sent within an hour already", again)
    base_url = settings.tracking_for(identity).base_url or settings.tracker.base_url
    link = f"{base_url}/v/{sign_token(keyring, Token(Kind.VERIFY, queue_id, 0))}" if base_url else ""
    reply = await tools.send(queue_id, identity, readers, code_mail(queue_id, identity, readers, code, link))
    if reply.code != 250:
        return failed("receiving", f"the relay itself refused the mail with the code: {reply}")
    text = f"a code is on its way to {issued.sent_to}, good for {LIFETIME / 60:.0f} minutes"
    fix = f"relay identity verify {identity} --otp CODE, or follow the link in the mail"
    remarks = (Remark("ok", text, fix), *await _delays(tools, queue_id, now))
    return Result("receiving", "pending", remarks, queue_id)


async def _delays(tools: Tools, queue_id: str, now: float) -> tuple[Remark, ...]:
    """Say when the mail with the code leaves, where limits hold it back."""
    story = await tools.story(queue_id)
    late = max((entry.release_at for entry in story.entries), default=0.0) if story else 0.0
    if late <= now:
        return ()
    fix = "wait for that, or raise the identity's limits; then have a new code sent"
    return (Remark("warning", f"the sending limit is used up: the mail leaves at {time_form(late)}", fix),)


async def enter_code(tools: Tools, identity: str, code: str) -> Result:
    """Return whether the code confirms the identity. Raises StoreError."""
    key, now = tools.keyring().keys[0][1], tools.clock()

    def entering(before: Challenge | None) -> Decision[Answer]:
        return _decided(*try_code(before, key, code.strip(), now), now)

    answer = await tools.store.decide(identity, entering)
    if isinstance(answer, Confirmed):
        return Result("receiving", "passed", (Remark("ok", _confirmed(answer)),))
    fix = f"relay identity verify {identity} --step receiving sends a new one"
    return failed("receiving", f"the code {answer.why}", fix)


async def confirm_link(tools: Tools, queue_id: str) -> str:
    """Confirm by the link of that mail; return the identity it confirms, "" when it does not. Raises StoreError."""
    challenge = await tools.store.challenge_by(queue_id)
    if challenge is None:
        return ""
    now = tools.clock()

    def following(before: Challenge | None) -> Decision[Answer]:
        after, answer = follow_link(before, queue_id, now)
        known = before is not None and before == after
        return Decision(after, (), answer) if known else _decided(after, answer, now)

    answer = await tools.store.decide(challenge.identity, following)
    return challenge.identity if isinstance(answer, Confirmed) else ""


def _decided(after: Challenge | None, answer: Answer, now: float) -> Decision[Answer]:
    """Return the decision with what a confirmation proves: that mail arrives, and whose address it is."""
    if after is None or not isinstance(answer, Confirmed):
        return Decision(after, (), answer)
    text = _confirmed(answer)
    receiving = Verification(after.identity, "receiving", "passed", now, text, after.queue_id)
    return Decision(after, (receiving, Verification(after.identity, "sender", "passed", now, text)), answer)


def _confirmed(answer: Confirmed) -> str:
    return f"the code sent to {answer.sent_to} came back"
