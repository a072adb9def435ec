"""What the service of OAuth2 logs: each failure once, though its text has an id of the request."""

import os
from typing import Any

from relay.oauth.rotation import RefreshTokens
from relay.oauth.service import OAuthService
from relay.oauth.token_responses import Grant, Refusal, unreachable
from tests.unit.oauth_parts import KEYS, MICROSOFT, Endpoint, MemoryTokens, Moments, settings_with

EXPIRED = "AADSTS7000222: The provided client secret keys are expired. Trace ID: {0} Timestamp: 2027-03-01 10:00:{0}Z"


class Harness:
    """A service with an endpoint and clocks in memory. `lines` are the log lines, and "alert"."""

    def __init__(self) -> None:
        self.endpoint, self.steady, self.lines = Endpoint(), Moments(0.0), list[str]()
        settings, clock = settings_with(MICROSOFT), Moments()
        refresh = RefreshTokens(
            MemoryTokens(),
            keys=lambda: KEYS,
            ask=self.endpoint,
            clock=clock,
            random=os.urandom,
            store_failed=lambda _: None,
        )
        self.service = OAuthService(
            lambda: settings,
            refresh,
            self.endpoint,
            clock=clock,
            steady=self.steady,
            random=os.urandom,
            log=self.log,
            alert=lambda *_: self.lines.append("alert"),
        )

    def log(self, line: str, **_: Any) -> None:
        self.lines.append(line)

    async def ask(self, *answers: Grant | Refusal) -> list[str]:
        """Ask for a token once for each answer; return the new lines."""
        before = len(self.lines)
        self.endpoint.next += answers
        for _ in answers:
            self.steady.now += 60.0
            await self.service.token("up")
        return self.lines[before:]


def refused(trace: int, code: str = "AADSTS7000222") -> Refusal:
    return Refusal("invalid_client", EXPIRED.format(trace), code)


async def test_a_failure_is_reported_once_though_its_text_has_an_id_of_the_request() -> None:
    harness = Harness()
    assert await harness.ask(*map(refused, range(10))) == ["oauth.failed", "alert"]
    assert await harness.ask(refused(11, "AADSTS700016"), refused(12, "AADSTS700016")) == ["oauth.failed", "alert"]


async def test_another_failure_and_one_after_a_token_are_reported() -> None:
    harness = Harness()
    lines = await harness.ask(refused(1), unreachable("no route"), unreachable("reset"), refused(2))
    assert lines == ["oauth.failed", "alert", "oauth.failed", "oauth.failed", "alert"]
    assert await harness.ask(Grant("a", 60.0), refused(3)) == ["oauth.token", "oauth.failed", "alert"]
