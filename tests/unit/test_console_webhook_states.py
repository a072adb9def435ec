"""What the console says of a webhook whose receiver does not take its posts."""

from typing import Any

import pytest

from relay.config.webhooks import Webhook
from relay.console.webhook_list import WebhookPages
from relay.console.webhook_page import webhook_headline
from relay.webhooks.control import WebhookView
from relay.webhooks.feed import Position
from relay.webhooks.ports import WebhookState
from relay.webhooks.progress import Answer, Progress

NOW = 1_800_000_000.0

REFUSED = Answer(NOW, 0, "connection refused")


@pytest.mark.parametrize(
    ("doing", "progress", "behind", "badge", "headline", "next_at"),
    [
        ("posting", Progress(), 2, ("ok", "Works"), "The webhook crm works.", 0.0),
        (
            *("posting", Progress().fail(REFUSED, NOW + 5).refuse("bounced", Answer(NOW, 400, "no")), 0),
            *(("ok", "Works"), "The webhook crm works.", 0.0),
        ),
        (
            *("posting", Progress(failures=1, next_at=NOW + 5, last=REFUSED), 2),
            *(("wait", "Tries again"), "The last post of the webhook crm failed.", NOW + 5),
        ),
        (
            *("failing", Progress(failures=3, next_at=NOW + 9, last=REFUSED), 2),
            *(("bad", "Fails"), "The webhook crm fails.", NOW + 9),
        ),
    ],
    ids=["works", "nothing is tried again", "one failure", "fails"],
)
async def test_a_receiver_works_only_while_it_takes_posts(
    doing: Any, progress: Progress, behind: int, badge: tuple[str, str], headline: str, next_at: float
) -> None:
    unused: Any = None
    webhook = Webhook(name="crm", url="https://crm.acme.test/hook")
    view = WebhookView(webhook, WebhookState("crm", Position(), progress), doing, behind, 0.0, 0)
    row = await WebhookPages(layout=unused, control=unused).row(view, 0)
    assert (row.badge, webhook_headline(row), row.next_at) == (badge, headline, next_at)
