"""The Helm chart: rendered by Helm's own engine, and the configuration in it checked by relay."""

import json
import os
import subprocess
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from relay.config import check
from relay.config.secret_hash import hash_secret
from relay.config.self_signed import self_signed_certificate
from tests.packages.clean_root import ROOT
from tests.packages.tools import BIN

CHART = ROOT / "packaging" / "helm" / "relay"

HELM = """
import json, sys, helm_python
from helm_python.chart import Chart, lint
path, values = sys.argv[1], json.loads(sys.argv[2])
report = lint(path, values, strict=True, namespace="mail")
try:
    with Chart.load(path) as chart:
        rendered, error = chart.render(values, name="news", namespace="mail"), ""
except Exception as failure:
    rendered, error = {}, str(failure)
print(json.dumps({"lint": report, "rendered": rendered, "error": error}))
"""

LEAST: dict[str, Any] = {
    "hostname": "mail.example.com",
    "baseUrl": "https://t.example.com",
    "secretName": "relay",
    "postgresql": {"url": "postgresql://relay@db/relay", "passwordSecret": {"name": "db"}},
    "submission": {"tlsSecretName": "mail-tls"},
    "configuration": '[domains."example.com"]\ndkim = { selectors = ["s1"] }\n\n'
    '[credentials.app1]\nsecret_hash_file = "secret/app1.hash"\n',
    "dkim": [{"domain": "example.com", "selector": "s1", "key": "example.com.s1.pem"}],
}

ALL: dict[str, Any] = LEAST | {
    "replicas": 3,
    "inbound": {"enabled": True, "service": {"type": "LoadBalancer", "annotations": {"a": "b"}}},
    "submission": {
        "tlsSecretName": "mail-tls",
        "allowNetworks": ["10.0.0.0/8"],
        "service": {"type": "LoadBalancer", "port": 587, "annotations": {}},
    },
    "tracker": {
        "trustedProxies": ["10.0.0.0/8"],
        "ingress": {"enabled": True, "className": "nginx", "host": "t.example.com", "tlsSecretName": "t-tls"},
    },
    "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}, "rules": {"enabled": True}},
    "env": [{"name": "RELAY__LOG__LEVEL", "value": "info"}],
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    "persistence": {"size": "5Gi", "storageClassName": "fast"},
    "podAnnotations": {"c": "d"},
}


def helm(values: dict[str, Any]) -> dict[str, Any]:
    """Return what Helm says about the chart with these values."""
    python = BIN / "python"
    if not python.exists():
        pytest.skip("needs helm-python-sdk: make packages installs it")
    command = [str(python), "-c", HELM, str(CHART), json.dumps(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def objects(values: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """Return the rendered objects by kind and name."""
    yaml = import_module("yaml")
    found = helm(values)
    assert found["error"] == ""
    documents = [
        one
        for name, text in found["rendered"].items()
        if name.endswith(".yaml")
        for one in yaml.safe_load_all(text)
        if one
    ]
    return {(one["kind"], one["metadata"]["name"]): one for one in documents}


@pytest.mark.parametrize("values", [LEAST, ALL], ids=["least", "all"])
def test_helm_lints_it_without_a_warning(values: dict[str, Any]) -> None:
    report = helm(values)["lint"]
    assert report["errors"] in ([], None)
    assert [one for one in report["messages"] or () if one["severity"] > 1] == []


@pytest.mark.parametrize("missing", ["hostname", "baseUrl", "secretName", "postgresql", "submission"])
def test_a_value_that_is_missing_is_named(missing: str) -> None:
    error = helm({name: value for name, value in LEAST.items() if name != missing})["error"]
    assert missing in error


@pytest.mark.parametrize("values", [LEAST, ALL], ids=["least", "all"])
def test_relay_takes_its_configuration(values: dict[str, Any], tmp_path: Path) -> None:
    data = objects(values)["ConfigMap", "news-relay"]["data"]
    for name in ("conf.d", "secret", "tls"):
        (tmp_path / name).mkdir()
    pem = self_signed_certificate("mail.example.com", time.time())
    key, _, certificate = pem.partition(b"-----BEGIN CERTIFICATE-----")
    (tmp_path / "tls" / "tls.key").write_bytes(key)
    (tmp_path / "tls" / "tls.crt").write_bytes(b"-----BEGIN CERTIFICATE-----" + certificate)
    (tmp_path / "secret" / "tracker.keys").write_text("k1:" + "A" * 43 + "=\n")
    (tmp_path / "secret" / "app1.hash").write_text(hash_secret("s", bytes(16)))
    for file in (tmp_path / "secret").iterdir():
        file.chmod(0o600)
    toml = data["relay.toml"].replace("/var/lib/relay", str(tmp_path / "lib"))
    (tmp_path / "relay.toml").write_text(toml)
    (tmp_path / "conf.d" / "values.toml").write_text(data["values.toml"])
    settings, faults, _ = check(tmp_path / "relay.toml", {"RELAY__STORAGE__PASSWORD": "secret"})
    assert faults == ()
    assert settings is not None
    submission = settings.listeners[0]
    assert submission.auth == ("optional" if values is ALL else "required")
    assert [one.kind for one in settings.listeners] == ["submission", *(["inbound"] if values is ALL else [])]
    assert list(settings.domains) == ["example.com"]


def test_each_port_of_a_service_is_one_of_the_nodes() -> None:
    made = objects(ALL)
    pod = made["StatefulSet", "news-relay"]["spec"]["template"]
    ports = {one["name"] for one in pod["spec"]["containers"][0]["ports"]}
    services = [one for (kind, _), one in made.items() if kind == "Service"]
    assert {port["targetPort"] for one in services for port in one["spec"]["ports"]} == ports
    for one in services:
        assert one["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    volumes = {one["name"] for one in pod["spec"]["volumes"]} | {"data"}
    for container in (*pod["spec"]["containers"], *pod["spec"]["initContainers"]):
        assert {one["name"] for one in container["volumeMounts"]} <= volumes
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["spec"]["securityContext"]["runAsUser"] == 10025


def test_prometheus_finds_the_nodes_and_has_the_rules() -> None:
    made = objects(ALL)
    monitor = made["ServiceMonitor", "news-relay"]["spec"]
    nodes = made["Service", "news-relay-nodes"]
    assert monitor["selector"]["matchLabels"].items() <= nodes["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in {one["name"] for one in nodes["spec"]["ports"]}
    rules = made["PrometheusRule", "news-relay"]["spec"]
    expected = import_module("yaml").safe_load((ROOT / "relay" / "share" / "alerts.yml").read_text())
    assert rules == expected


def test_least_values_make_least_objects() -> None:
    kinds = sorted(kind for kind, _ in objects(LEAST))
    assert kinds == ["ConfigMap", "PodDisruptionBudget", "Service", "Service", "Service", "StatefulSet"]


@pytest.mark.parametrize(("seconds", "attempts"), [(3600, 720), (61, 13), (5, 1), (1, 1)])
def test_a_start_has_the_seconds_of_the_values(seconds: int, attempts: int) -> None:
    """An upgrade of a large database takes its time; Kubernetes wants at least one attempt."""
    pod = objects(LEAST | {"startupSeconds": seconds})["StatefulSet", "news-relay"]["spec"]["template"]["spec"]
    (node,) = pod["containers"]
    assert node["startupProbe"]["failureThreshold"] == attempts
    assert attempts * node["startupProbe"]["periodSeconds"] >= seconds
