"""Delivery to a provider with OAuth2: a real token endpoint over TLS, a server with XOAUTH2 and OAUTHBEARER."""

import asyncio
import json
import os
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from relay.config.settings import Settings
from relay.delivery import SmtpDelivery
from relay.delivery.mx import Endpoint
from relay.delivery.next_hop import NextHopResolver, parse_lane
from relay.mail.reply import Reply
from relay.oauth.rotation import RefreshTokens
from relay.oauth.service import OAuthService
from relay.oauth.token_endpoint import request_token
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from tests.servers.actions import Say
from tests.servers.jobs import job
from tests.servers.relay_harness import delivering, settings
from tests.servers.sink import Sink
from tests.servers.token_endpoint import Answer, TokenEndpoint
from tests.unit.oauth_parts import KEYS, MemoryTokens, Moments

EXTENSIONS = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "AUTH LOGIN XOAUTH2")


@pytest.fixture
async def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TokenEndpoint]:
    """Return an endpoint whose certificate the system trusts."""
    async with TokenEndpoint(tmp_path) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
        yield server


class Harness:
    """A delivery by the provider "up" with OAuth2, its tokens, and what was logged and alerted."""

    def __init__(self, of: Settings, delivery: SmtpDelivery, oauth: OAuthService, steady: Moments) -> None:
        self.of, self.delivery, self.oauth, self.steady = of, delivery, oauth, steady

    async def endpoints(self) -> Sequence[Endpoint]:
        next_hops = self.delivery._current_next_hops()
        target = parse_lane("provider:up")
        assert not isinstance(target, Reply)
        found = await next_hops.endpoints(target)
        assert not isinstance(found, Deferred | Refused)
        return found

    async def deliver(self) -> Outcome:
        (outcome,) = await self.delivery.deliver("provider:up", job())
        return outcome


@asynccontextmanager
async def by_token(
    sink: Sink, endpoint: TokenEndpoint, log: list[tuple[str, dict[str, Any]]] | None = None, **oauth: Any
) -> AsyncIterator[Harness]:
    of = settings(sink.port, {"username": "billing@acme.test", "oauth": endpoint.settings(**oauth)})
    steady, lines = Moments(0.0), log if log is not None else []
    refresh = RefreshTokens(
        MemoryTokens(),
        keys=lambda: KEYS,
        ask=request_token,
        clock=time.time,
        random=os.urandom,
        store_failed=lambda _: None,
    )
    service = OAuthService(
        lambda: of,
        refresh,
        request_token,
        clock=time.time,
        steady=steady,
        random=os.urandom,
        log=lambda line, **fields: lines.append((line, fields)),
        alert=lambda *texts: lines.append(("alert", {"text": texts[-1]})),
    )
    async with delivering(of, tokens=service, steady=steady) as delivery:
        yield Harness(of, delivery, service, steady)
    await service.close()


@pytest.mark.parametrize("offered", ["XOAUTH2", "OAUTHBEARER"])
async def test_mail_leaves_with_a_token_and_many_connections_share_one_request(
    endpoint: TokenEndpoint, offered: str
) -> None:
    async with Sink(extensions=(*EXTENSIONS[:3], f"AUTH PLAIN {offered}")) as sink, by_token(sink, endpoint) as harness:
        sink.tokens = {"access-1"}
        outcomes = await asyncio.gather(*(harness.deliver() for _ in range(5)))
        assert all(isinstance(one, Delivered) for one in outcomes), outcomes
        assert {one.login for one in sink.messages} == {f"{offered} billing@acme.test:access-1"}
        assert len(endpoint.forms) == 1
        assert endpoint.forms[0]["client_secret"] == "hush"


@pytest.mark.parametrize("offered", ["XOAUTH2", "OAUTHBEARER"])
async def test_a_refused_token_is_tried_once_more_with_a_new_one_and_the_error_is_in_the_story(
    endpoint: TokenEndpoint, offered: str
) -> None:
    async with Sink(extensions=(*EXTENSIONS[:3], f"AUTH {offered}")) as sink, by_token(sink, endpoint) as harness:
        sink.tokens = {"access-2"}
        assert isinstance(await harness.deliver(), Delivered)
        assert (len(sink.said("AUTH")), sink.violations) == (2, [])

        sink.tokens = {"none"}
        harness.delivery._pool.close_idle()
        outcome = await harness.deliver()
        assert isinstance(outcome, Deferred)
        assert outcome.locked_out
        assert outcome.lane_down
        assert outcome.phase == "auth"
        assert '535 5.7.8 Username and Password not accepted {"status": "401"' in str(outcome.reply)
        assert "access-" not in str(outcome.reply)
        assert (len(sink.said("AUTH")), len(endpoint.forms)) == (4, 3)


async def test_a_mailbox_that_may_not_log_in_at_all_costs_no_second_token(endpoint: TokenEndpoint) -> None:
    disabled = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
    async with Sink(extensions=EXTENSIONS) as sink, by_token(sink, endpoint) as harness:
        sink.always("AUTH", Say(disabled))
        outcome = await harness.deliver()
        assert isinstance(outcome, Deferred)
        assert outcome.locked_out
        assert disabled in str(outcome.reply)
        assert (len(sink.said("AUTH")), len(endpoint.forms)) == (1, 1)


async def test_a_token_that_ends_within_a_session_is_replaced_in_a_new_one(endpoint: TokenEndpoint) -> None:
    async with Sink(extensions=EXTENSIONS) as sink, by_token(sink, endpoint) as harness:
        sink.tokens = {"access-1"}
        assert isinstance(await harness.deliver(), Delivered)
        sink.tokens = {"access-2"}
        assert isinstance(await harness.deliver(), Delivered)
        assert [one.login.rpartition(":")[2] for one in sink.messages] == ["access-1", "access-2"]
        assert [one.connection for one in sink.messages] == [1, 3]


async def test_a_session_is_not_kept_longer_than_its_token(endpoint: TokenEndpoint) -> None:
    async with Sink(extensions=EXTENSIONS) as sink, by_token(sink, endpoint) as harness:
        assert isinstance(await harness.deliver(), Delivered)
        harness.steady.now = 3600.0
        assert isinstance(await harness.deliver(), Delivered)
        assert isinstance(await harness.deliver(), Delivered)
        assert [one.connection for one in sink.messages] == [1, 1, 2]


async def test_without_an_endpoint_the_lane_is_down_for_a_while_and_nothing_is_sent(endpoint: TokenEndpoint) -> None:
    log: list[tuple[str, dict[str, Any]]] = []
    async with Sink(extensions=EXTENSIONS) as sink, by_token(sink, endpoint, log) as harness:
        endpoint.next += [Answer(503, text="<html>busy</html>")]
        outcome = await harness.deliver()
        assert isinstance(outcome, Deferred)
        assert (outcome.lane_down, outcome.locked_out) == (True, False)
        assert "no access token at present from localhost: HTTP 503: <html>busy</html>" in str(outcome.reply)
        assert sink.connections == 0
        assert [line for line, _ in log] == ["oauth.failed"]


async def test_an_endpoint_with_an_unknown_certificate_gets_no_secret(
    endpoint: TokenEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    async with Sink(extensions=EXTENSIONS) as sink, by_token(sink, endpoint) as harness:
        outcome = await harness.deliver()
        assert isinstance(outcome, Deferred)
        assert "certificate" in str(outcome.reply)
        assert endpoint.forms == []


@pytest.mark.parametrize("status", [401, 503])
async def test_without_a_token_no_host_is_asked_and_none_counts_as_failing(
    endpoint: TokenEndpoint, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sink(extensions=EXTENSIONS) as sink, by_token(sink, endpoint) as harness:
        (first,) = await harness.endpoints()
        both = (first, replace(first, name="second.test"))
        monkeypatch.setattr(NextHopResolver, "endpoints", AsyncMock(return_value=both))
        endpoint.next += [Answer(status, {"error": "invalid_client"})] * 2
        wanted = AsyncMock(wraps=harness.oauth.token)
        monkeypatch.setattr(harness.oauth, "token", wanted)
        assert isinstance(await harness.deliver(), Deferred)
        assert wanted.await_count == 1
        assert not sink.said("EHLO")
        assert not [one for one in both if str(one) in harness.delivery._pool.memory.failing]


async def test_a_wrong_client_secret_pauses_the_account_with_its_guidance(endpoint: TokenEndpoint) -> None:
    log: list[tuple[str, dict[str, Any]]] = []
    text = "AADSTS7000222: The provided client secret keys for app are expired."
    async with Sink(extensions=EXTENSIONS) as sink, by_token(sink, endpoint, log) as harness:
        endpoint.next += [Answer(401, {"error": "invalid_client", "error_description": text})] * 2
        outcome = await harness.deliver()
        assert isinstance(outcome, Deferred)
        assert outcome.locked_out
        assert "The client secret has expired. Create a new one" in str(outcome.reply)
        assert "hush" not in str(outcome.reply)
        assert [line for line, _ in log] == ["oauth.failed", "alert"]
        assert "The client secret has expired" in log[1][1]["text"]
        assert log[0][1]["guidance"].startswith("The client secret has expired")


async def test_what_an_endpoint_or_a_server_repeats_of_a_secret_is_masked(endpoint: TokenEndpoint) -> None:
    log: list[tuple[str, dict[str, Any]]] = []
    async with Sink(extensions=EXTENSIONS) as sink, by_token(sink, endpoint, log) as harness:
        endpoint.next += [Answer(401, {"error": "invalid_client", "error_description": "hush is not the secret"})]
        outcome = await harness.deliver()
        assert isinstance(outcome, Deferred)
        assert "*** is not the secret" in str(outcome.reply)
        assert "hush" not in repr(log)

        harness.oauth._source("up").forget()
        sink.always("AUTH", Say("535 5.7.8 no such token: access-1, access-2"))
        outcome = await harness.deliver()
        assert isinstance(outcome, Deferred)
        assert "no such token: access-1, ***" in str(outcome.reply)


async def test_an_idle_session_is_closed_when_its_token_ends(endpoint: TokenEndpoint) -> None:
    async with Sink(extensions=EXTENSIONS) as sink, by_token(sink, endpoint) as harness:
        assert isinstance(await harness.deliver(), Delivered)
        harness.steady.now = 3599.9
        assert isinstance(await harness.deliver(), Delivered)
        assert [one.connection for one in sink.messages] == [1, 1]
        async with asyncio.timeout(10):
            while len(harness.delivery._pool._idle):
                await asyncio.sleep(0.01)


async def test_no_part_of_a_long_token_is_left_in_the_error_of_a_server(endpoint: TokenEndpoint) -> None:
    token = "t" * 2000
    error = b64encode(json.dumps({"status": "400", "saw": f"Bearer {token}"}).encode()).decode()
    async with Sink(extensions=EXTENSIONS) as sink, by_token(sink, endpoint) as harness:
        endpoint.next += [Answer(200, {"access_token": token, "token_type": "Bearer"})] * 2
        sink.always("AUTH", Say(f"334 {error}"))
        outcome = await harness.deliver()
        assert isinstance(outcome, Deferred)
        assert "Bearer ***" in str(outcome.reply)
        assert "ttt" not in str(outcome.reply)


async def test_a_redirect_of_the_endpoint_is_not_followed(endpoint: TokenEndpoint) -> None:
    async with Sink(extensions=EXTENSIONS) as sink, by_token(sink, endpoint) as harness:
        endpoint.next += [Answer(307, text="elsewhere")]
        assert isinstance(await harness.deliver(), Deferred)
        assert len(endpoint.forms) == 1
