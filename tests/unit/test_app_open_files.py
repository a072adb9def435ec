"""The limit of open files follows from the limits of connections."""

import resource

import pytest

from relay.acceptor import MAX_PREAMBLES
from relay.app.open_files import OTHERS, needed_files, possible_connections, raise_file_limit
from relay.config.settings import Settings
from relay.tracker.connection_limits import ConnectionLimits

SETTINGS = Settings.model_validate({"smtp": {"max_connections": 300}, "delivery": {"max_connections": 20}})


def test_every_connection_needs_a_file() -> None:
    assert needed_files(SETTINGS) == 300 + 20 + ConnectionLimits().connections + OTHERS

    listener = {"name": "a", "address": "127.0.0.1:0", "tls": "implicit"}
    secure = Settings.model_validate({"listener": [listener], "tracker": {"address": ""}})
    assert needed_files(secure) == 1000 + MAX_PREAMBLES + 200 + OTHERS


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "lines"),
    [
        (65536, 65536, None, []),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, []),
        (1024, 65536, (2576, 65536), []),
        (1024, resource.RLIM_INFINITY, (2576, resource.RLIM_INFINITY), []),
        (1024, 2000, (2000, 2000), [("server.few_files", {"limit": 2000, "needed": 2576})]),
        (1024, 1024, None, [("server.few_files", {"limit": 1024, "needed": 2576})]),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_needed_and_possible(
    monkeypatch: pytest.MonkeyPatch,
    soft: int,
    hard: int,
    raised: tuple[int, int] | None,
    lines: list[tuple[str, dict[str, object]]],
) -> None:
    limits: list[tuple[int, int]] = []
    logged: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))

    raise_file_limit(SETTINGS, lambda line, **fields: logged.append((line, fields)))
    assert limits == ([] if raised is None else [raised])
    assert logged == lines


@pytest.mark.parametrize(
    ("limit", "smtp", "tracker"),
    [(resource.RLIM_INFINITY, 300, 2000), (2576, 300, 2000), (1024, 99, 662), (256, 16, 110), (20, 1, 8)],
)
def test_under_a_low_limit_there_are_fewer_connections(
    monkeypatch: pytest.MonkeyPatch, limit: int, smtp: int, tracker: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert possible_connections(300, SETTINGS) == smtp
    assert possible_connections(2000, SETTINGS) == tracker
