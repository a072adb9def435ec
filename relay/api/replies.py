"""The HTTP status of an SMTP reply: the acceptor answers HTTP and SMTP with the same refusals. Pure."""

from relay.api.problems import ProblemError
from relay.mail.reply import Reply

STATUSES: tuple[tuple[int, str, int], ...] = (
    (530, "", 401),
    (535, "", 401),
    (550, "5.7.", 403),
    (552, "", 413),
    (450, "4.3.0", 409),
    (454, "", 503),
    (452, "", 503),
    (451, "", 503),
    (421, "", 503),
)
"""Code of the reply, begin of its enhanced status code, and the HTTP status. Other codes: 422 for 5yz, 503 for 4yz."""

RETRY_AFTERS = {409: 1, 503: 60}
"""Seconds after which a refused request may be repeated (Retry-After), by status."""


def http_status(reply: Reply) -> int:
    """Return the HTTP status of a refusal."""
    found = (status for code, begin, status in STATUSES if reply.code == code and reply.status.startswith(begin))
    return next(found, 422 if reply.is_permanent else 503)


def refusal(reply: Reply) -> ProblemError:
    """Return the error that answers a request whose message got this reply."""
    status = http_status(reply)
    return ProblemError(status, reply.text, retry_after=RETRY_AFTERS.get(status, 0), reply=str(reply))
