"""The files of `packaging/` name what exists: paths, ports, keys, variables, versions."""

import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from relay.config import check

ROOT = Path(__file__).parents[2]

COMPOSE = ROOT / "packaging" / "compose"

FILES = sorted(COMPOSE.glob("compose*.yaml"))

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def load(file: Path) -> Any:
    return import_module("yaml").safe_load(file.read_text(encoding="utf-8"))


def services(file: Path) -> dict[str, Any]:
    """The services of a file, with what they extend."""
    found: dict[str, Any] = load(file)["services"]
    for name, service in found.items():
        if base := service.get("extends"):
            found[name] = services(COMPOSE / base["file"])[base["service"]] | service
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_a_compose_file_names_is_there(file: Path) -> None:
    whole = load(file)
    named = set(whole["volumes"])
    for service in services(file).values():
        assert set(service.get("depends_on", ())) <= set(whole["services"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (COMPOSE / source).is_file() if source.startswith(".") else source in named, source
        if build := service.get("build"):
            assert (COMPOSE / build["context"] / build["dockerfile"]).is_file()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_relay_in_a_container_has_no_more_than_it_needs(file: Path) -> None:
    relay = services(file)["relay"]
    assert relay["read_only"] is True
    assert relay["cap_drop"] == ["ALL"]
    published = {port.split(":")[-1] for port in relay["ports"]}
    exposed = re.search(r"^EXPOSE (.*)$", (ROOT / "packaging" / "Dockerfile").read_text(), re.MULTILINE)
    assert exposed is not None
    assert published <= set(exposed[1].split())


def test_variables_of_compose_are_keys(tmp_path: Path) -> None:
    relay = services(COMPOSE / "compose.postgres.yaml")["relay"]
    environment = {name: value for name, value in relay["environment"].items() if name.startswith("RELAY__")}
    (tmp_path / "relay.toml").write_text(f'[server]\ndata_dir = "{tmp_path}"\n')
    settings, faults, _ = check(tmp_path / "relay.toml", environment)
    assert faults == ()
    assert settings is not None
    assert settings.storage.url == "postgresql://relay@postgres/relay"


def test_the_demo_sends_nothing_and_has_metrics(tmp_path: Path) -> None:
    text = (COMPOSE / "demo.toml").read_text().replace("/var/lib/relay", str(tmp_path))
    (tmp_path / "relay.toml").write_text(text)
    settings, faults, warnings = check(tmp_path / "relay.toml", {})
    assert (faults, warnings) == ((), ())
    assert settings is not None
    assert settings.defaults.sandbox is True
    (job,) = load(COMPOSE / "prometheus.yml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"relay:{settings.metrics.port}"]}]
    assert job["job_name"] == "relay", "the alerting rules go by it"


def test_grafana_gets_a_source_and_the_dashboard() -> None:
    (source,) = load(COMPOSE / "grafana" / "datasource.yaml")["datasources"]
    (provider,) = load(COMPOSE / "grafana" / "dashboards.yaml")["providers"]
    mounted = services(COMPOSE / "compose.demo.yaml")["grafana"]["volumes"]
    assert source["url"] == "http://prometheus:9090"
    assert any(one.split(":")[1].startswith(provider["options"]["path"]) for one in mounted)


def test_the_chart_is_of_this_version() -> None:
    chart = load(ROOT / "packaging" / "helm" / "relay" / "Chart.yaml")
    assert chart["appVersion"] == VERSION


def test_what_the_wheel_shares_is_what_conf_has() -> None:
    for name in ("relay.toml", "relay.service", "relay@.service"):
        assert (ROOT / "relay" / "share" / name).read_bytes() == (ROOT / "conf" / name).read_bytes()


def test_the_package_changes_the_units_where_it_says() -> None:
    build = (ROOT / "packaging" / "deb" / "build").read_text()
    for name in ("relay.service", "relay@.service"):
        unit = (ROOT / "conf" / name).read_text()
        for line in ("DynamicUser=yes", "ConfigurationDirectory=relay", "Type=notify", "/opt/relay/bin/relay"):
            assert line in unit
            assert line in build
