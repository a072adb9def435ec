"""What people of some sending domains see of what all domains share: lanes, providers, pauses, a long queue."""

from unittest.mock import AsyncMock, Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from relay.config.settings import Settings
from relay.console import narrowing
from relay.console.narrowing import MAX_PICKED, providers_of, shown_holds, shown_lanes, shown_reasons
from relay.console.queue import QueuePages
from relay.console.queue_state import QueueState
from relay.console.roles import Viewer
from relay.queue.entry import State
from relay.queue.pause import HOLD, Pause
from relay.queue.ports import Depth
from relay.queue.routing import LanePause
from relay.queue.wait_reasons import Reason

REPLY = "550 5.7.1 no mail for ada@reader.test"

ALL, SOME = Viewer(), Viewer(domains=("acme.test",))

SETTINGS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test"},
        "provider": [{"name": name, "host": "127.0.0.1"} for name in ("ours", "news", "theirs")],
        "domains": {
            "acme.test": {"provider": "ours", "campaign_provider": "news"},
            "beta.test": {"provider": "theirs"},
        },
    }
)


def test_of_paused_lanes_those_of_the_own_providers_are_shown_without_the_reply() -> None:
    lanes = {name: LanePause(9.0, REPLY) for name in ("provider:ours", "provider:theirs", "mx:reader.test")}
    assert shown_lanes(lanes, SETTINGS, ALL) == lanes
    assert shown_lanes(lanes, SETTINGS, SOME) == {"provider:ours": LanePause(9.0, "")}
    assert providers_of(SETTINGS, SOME) == {"ours", "news"}


def test_of_what_is_held_back_that_of_the_own_identities_is_shown() -> None:
    subjects = (
        "identity:a@acme.test",
        "identity:a@beta.test",
        "campaign:spring",
        "site:gmail.test",
        "domain:acme.test",
    )
    holds = [Pause(one, 1.0, 0.0, REPLY, HOLD) for one in subjects]
    assert shown_holds(holds, ALL) == holds
    assert [one.subject for one in shown_holds(holds, SOME)] == ["identity:a@acme.test"]


def test_reasons_quote_no_replies_to_mail_of_others() -> None:
    own = (Reason("back-off", REPLY), Reason("paused", "its identity is paused: 5 % bounced"))
    shared = tuple(Reason(cause, REPLY, 9.0, "", "a site") for cause in ("lane paused", "paused", "site rate"))
    assert shown_reasons((*own, *shared), ALL) == (*own, *shared)
    shown = shown_reasons((*own, *shared), SOME)
    assert tuple(shown[:2]) == own
    assert [(one.cause, one.until) for one in shown[2:]] == [(one.cause, one.until) for one in shared]
    assert not any(REPLY in one.text for one in shown[2:])


@pytest.mark.parametrize(
    ("viewer", "waiting", "query", "is_refused"),
    [
        (SOME, MAX_PICKED, "", False),
        (SOME, MAX_PICKED + 1, "", True),
        (SOME, MAX_PICKED + 1, "?state=waiting", True),
        (SOME, MAX_PICKED + 1, "?q=reader.test", True),
        (SOME, MAX_PICKED + 1, "?q=ada@reader.test", False),
        (SOME, MAX_PICKED + 1, "?q=1M8PWY6BNNZFMM", False),
        (ALL, MAX_PICKED + 1, "?state=waiting", False),
    ],
)
async def test_a_long_queue_is_not_picked_through(
    viewer: Viewer, waiting: int, query: str, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = QueueState(0.0, [Depth("mx:a.test", State.WAITING, True, waiting, 0.0)], {}, [])
    entries = Mock(entries=AsyncMock(return_value=[]))
    layout = Mock(page=AsyncMock(return_value=web.Response()))
    pages = QueuePages(
        layout=layout,
        settings=lambda: SETTINGS,
        queue=AsyncMock(return_value=state),
        entries=entries,
        explain=lambda *_: (),
        lanes=dict,
        clock=lambda: 0.0,
    )
    request = make_mocked_request("GET", f"/queue{query}")
    monkeypatch.setattr("relay.console.queue.viewer_of", lambda _: viewer)
    if is_refused:
        with pytest.raises(web.HTTPForbidden) as caught:
            await pages.show(request)
        assert caught.value.text == narrowing.TOO_MANY
        assert not entries.entries.called
    else:
        await pages.show(request)
        assert entries.entries.called
        assert all(call.args[0].domains == viewer.domains for call in entries.entries.call_args_list)
