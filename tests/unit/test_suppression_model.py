"""What a further bounce makes of a suppression that is listed."""

import pytest

from relay.suppression.model import MANUAL, Suppression, after_bounce

DAY = 86400.0


def row(created: float, expires: float, reason: str = "mailbox_full") -> Suppression:
    return Suppression("u@x.test", reason=reason, created_at=created * DAY, expires_at=expires * DAY)


@pytest.mark.parametrize(
    ("listed", "found", "kept"),
    [
        (row(0, 0), row(1, 0, "bad_mailbox"), None),
        (row(0, 14), row(1, 0, "bad_mailbox"), row(1, 0, "bad_mailbox")),
        (row(0, 14), row(1, 15), row(1, 15)),
        (row(0, 28), row(1, 15), None),
        (row(0, 14), row(14, 28), row(14, 42)),
        (row(14, 42), row(50, 64), row(50, 106)),
        (row(0, 1), row(3, 17), row(3, 17)),
        (row(0, 20, MANUAL), row(30, 44), row(30, 44)),
    ],
    ids=["endless", "now endless", "later end", "earlier end", "renewed", "renewed again", "longer now", "manual"],
)
def test_a_bounce_extends_a_suppression_and_never_shortens_it(
    listed: Suppression, found: Suppression, kept: Suppression | None
) -> None:
    assert after_bounce(listed, found) == kept
