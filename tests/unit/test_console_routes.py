"""The table of routes: each page once, with the least role; templates and static files."""

import re
from unittest.mock import Mock

from relay.console import static_files
from relay.console.access import POLICY
from relay.console.roles import Role
from relay.console.route import Route
from relay.console.routes import Pages, routes
from relay.console.templates import environment


def table() -> list[Route]:
    return list(routes(Mock(spec_set=Pages)))


def test_each_route_is_there_once_and_reading_changes_nothing() -> None:
    keys = [(route.method, route.path) for route in table()]
    assert len(keys) == len(set(keys))
    assert all(route.role is not None or route.path.startswith(("/static/", "/login")) for route in table())


def test_each_list_has_a_file() -> None:
    paths = {route.path for route in table()}
    lists = ("messages", "queue", "bounces", "domains", "identities", "providers", "suppressions", "unsubscribes")
    assert {f"/{name}{end}" for name in (*lists, "webhooks") for end in ("", ".csv")} <= paths


def test_a_viewer_may_read_all_lists() -> None:
    assert {route.role for route in table() if route.path.endswith(".csv")} == {Role.VIEWER}


def test_templates_have_neither_style_nor_script_of_their_own() -> None:
    loader = environment().loader
    assert loader is not None
    for name in loader.list_templates():
        source = loader.get_source(environment(), name)[0]
        assert not re.search(r"\sstyle=|\son\w+=|<style|javascript:|\|safe|Markup|autoescape", source), name
        assert all("src=" in script for script in re.findall(r"<script[^>]*>", source)), name


def test_the_policy_allows_nothing_inline_and_nothing_of_others() -> None:
    assert "unsafe" not in POLICY
    assert all(part.split()[1:] in (["'self'"], ["'none'"]) for part in POLICY.split("; "))


def test_static_files_are_named_by_their_content() -> None:
    assert {file.type for file in static_files.FILES.values()} == {"text/css", "text/javascript", "image/svg+xml"}
    assert all(static_files.FILES[name].digest in url for name, url in static_files.URLS.items())
