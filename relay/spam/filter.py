"""The spam filter of the configuration: within time and number of connections, with its faults reported."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from relay.config.parsers import parse_host_port
from relay.config.settings import Settings, Spam
from relay.spam.errors import FilterError
from relay.spam.spamd import check_with_spamd
from relay.submission.spam import SpamRequest, SpamResult, Unchecked, Verdict


class SpamObserver(Protocol):
    """Gets reports of what operators should see."""

    def spam_checked(self, request: SpamRequest, result: SpamResult) -> None:
        """A message was checked."""

    def spam_unchecked(self, why: str) -> None:
        """A message could not be checked."""


class ConfiguredFilter:
    """Implements `relay.submission.spam.SpamFilter`. A reload takes effect with the next message."""

    def __init__(self, settings: Callable[[], Settings], watch: SpamObserver) -> None:
        self._settings = settings
        self._watch = watch
        self._connections = asyncio.Semaphore(0)
        self._most = 0

    async def check(self, request: SpamRequest) -> SpamResult | Unchecked:
        """Return the result, or why there is none. The wait for a free connection counts as time of the check."""
        spam = self._settings().spam
        try:
            async with asyncio.timeout(spam.timeout), self._slots(spam.connections):
                result = _with_own_score(await _ask(spam, request), spam.score)
        except TimeoutError:
            return self._failed(f"{_name(spam)} gave no result within {spam.timeout:g} seconds")
        except (FilterError, OSError) as error:
            return self._failed(f"{_name(spam)}: {error}")
        self._watch.spam_checked(request, result)
        return result

    def _failed(self, why: str) -> Unchecked:
        self._watch.spam_unchecked(why)
        return Unchecked(why)

    def _slots(self, most: int) -> asyncio.Semaphore:
        """Return the semaphore of the connections; a new one if their number was changed."""
        if most != self._most:
            self._connections, self._most = asyncio.Semaphore(most), most
        return self._connections


async def _ask(spam: Spam, request: SpamRequest) -> SpamResult:
    # Copied only now: messages that wait for a connection need no further memory.
    content = request.beginning(spam.max_size)
    if spam.rspamd:
        from relay.spam.rspamd import check_with_rspamd  # Not at the top: it loads HTTP, and mail comes first.

        return await check_with_rspamd(spam.rspamd, request, content)
    return await check_with_spamd(parse_host_port(spam.spamd), content)


def _with_own_score(result: SpamResult, score: int) -> SpamResult:
    """Return the result by the score of the configuration, if it has one.

    A soft reject stays one below that score: it is about the rate or the first sight of a sender, not the content.
    """
    if not score:
        return result
    passes: Verdict = "later" if result.verdict == "later" else "ham"
    return replace(result, required=float(score), verdict="spam" if result.score >= score else passes)


def _name(spam: Spam) -> str:
    return f"rspamd at {spam.rspamd}" if spam.rspamd else f"spamd at {spam.spamd}"
