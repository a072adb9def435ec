"""The black-box suite of the shared data against this checkout, in every configuration it has tests for.

    python -m tests.abuse.run [--relay COMMAND] [--pytest PYTHON] [RUN ...] [PYTEST OPTIONS]

RUN is one of the names in `RUNS`; all of them without one. Reports stay in tests/.artifacts/abuse. Needs the shared
data (RELAY_SHARED, or ../shared beside the checkout); says so and ends with 0 where there is none.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from relay.config.secret_hash import hash_secret
from tests.abuse.names import NOTICES_ADDRESS, answer_notices, pass_on_notices
from tests.ports import free_port
from tests.shared import SHARED

ROOT = Path(__file__).resolve().parents[2]

SUITE = SHARED / "security"

ARTIFACTS = ROOT / "tests" / ".artifacts" / "abuse"

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")

TIMEOUT = 1800
"""Seconds one run may take."""

BASE = """
[server]
hostname = "relay.test"
data_dir = "{folder}/data"
[tracker]
address = "127.0.0.1:{tracker}"
base_url = "http://127.0.0.1:{tracker}"
[queue]
lifetime = "72h"
retry = ["2s", "3s", "4s"]
[smtp]
max_connections = 2000
max_connections_per_client = 2000
[limits]
identity_hourly = 0
identity_daily = 0
identity_daily_ceiling = 0
max_message_size = "25MiB"
max_recipients = 1000
"""

OPEN = """
[[listener]]
name = "submission"
address = "127.0.0.1:{smtp}"
allow_networks = ["127.0.0.0/8"]
[[listener]]
name = "guarded"
address = "127.0.0.1:{guarded}"
auth = "required"
allow_networks = []
"""

UPSTREAM = """
[delivery]
command_timeout = "12s"
[[provider]]
name = "sink"
host = "127.0.0.1"
port = {sink}
tls = "none"
[defaults]
provider = "sink"
"""

SECURE = """
[[listener]]
name = "submission"
address = "127.0.0.1:{smtp}"
tls = "starttls"
certificate = "{folder}/server.pem"
auth = "required"
allow_networks = []
[credentials.app1]
secret_hash = "{secret_hash}"
[identities."sender@app.test"]
credentials = ["app1"]
[identities."postmaster@app.test"]
credentials = ["app1"]
"""

BY_MX = """
[resolver]
nameservers = ["127.0.0.1:{nameserver}"]
[delivery]
port = {sink}
command_timeout = "12s"
allow_networks = ["{allowed}"]
"""


@dataclass(frozen=True)
class Run:
    """A configuration and the tests that are meant for it."""

    config: str
    tests: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    zone: bool = False
    """The suite's name server runs beside the tests, which start none of their own."""
    notices: bool = False
    """Notices to app.test reach the sink although the guard is shut."""


LITERALS = "test_05_auth_relay.py::test_private_destinations"
"""Wants delivery by MX, and nothing at all to reach the sink: it has a run of its own."""

RUNS = {
    "plain": Run(
        BASE + OPEN + UPSTREAM,
        # A kept connection carries the message that test_banner_554 wants refused; the run "tls" keeps none.
        ("test_0[1-7]*.py", "--deselect=test_02_sink.py::test_banner_554", f"--deselect={LITERALS}"),
    ),
    "literals": Run(
        BASE + OPEN + BY_MX,
        ("test_05_auth_relay.py", "-k=test_private_destinations"),
        {"BB_DIRECT_MX": "1", "allowed": "192.0.2.0/24"},
        zone=True,
    ),
    "tls": Run(
        BASE + OPEN + BY_MX + "messages_per_connection = 1\n",
        ("test_02_sink.py",),
        {"BB_SINK_CERT": "{folder}/sink.pem", "allowed": "127.0.0.0/8"},
        zone=True,
    ),
    "auth": Run(
        BASE + SECURE + UPSTREAM,
        ("test_03_smuggling.py", "test_04_protocol.py", "test_05_auth_relay.py", f"--deselect={LITERALS}"),
        {"BB_TLS": "starttls", "BB_AUTH_USER": "app1", "BB_AUTH_PASS": "s3cret", "BB_UNAUTH_PORT": "{smtp}"},
    ),
    "guard": Run(
        BASE + OPEN + BY_MX,
        ("test_09_dns.py", "-k=not test_delivers"),
        {"BB_DNS_GUARD": "1", "BB_DNS_PORT": "{dns}", "allowed": f"{NOTICES_ADDRESS}/32"},
        notices=True,
    ),
    "mx": Run(
        BASE + OPEN + BY_MX,
        ("test_09_dns.py", "-k=not test_ssrf"),
        {"BB_DNS_GUARD": "0", "BB_DNS_PORT": "{nameserver}", "allowed": "127.0.0.0/8"},
    ),
}

NEW_PORTS = ("smtp", "guarded", "tracker", "sink", "control", "dns", "nameserver", "smtp2", "guarded2", "tracker2")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"one of {', '.join(RUNS)}; default: all")
    parser.add_argument("--relay", default=f"{sys.executable} -m relay.cli", help="command of the relay under test")
    parser.add_argument("--pytest", default=sys.executable, help="interpreter that has pytest")
    own, more = parser.parse_known_args()
    unknown = [name for name in own.runs if name not in RUNS]
    if unknown:
        parser.error(f"there is no run {', '.join(unknown)}; there are {', '.join(RUNS)}")
    if not SUITE.is_dir():
        print(f"abuse: skipped: the black-box suite is not at {SUITE} (set RELAY_SHARED to the shared data)")
        return 0
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    failed = sum(suite(name, own.relay, own.pytest, more) for name in own.runs or RUNS)
    return 1 if failed else 0


def suite(name: str, relay: str, python: str, more: list[str]) -> int:
    """Make one run; print its summary and return how many tests failed, at least 1 when it broke off."""
    run, report = RUNS[name], ARTIFACTS / f"{name}.jsonl"
    report.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"relay-abuse-{name}-") as made:
        folder = Path(made)
        copy = folder / "suite"
        shutil.copytree(SUITE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        values = {key: str(free_port()) for key in NEW_PORTS}
        values |= {"folder": str(folder), "secret_hash": hash_secret("s3cret", bytes(16))}
        values |= {key: text.format(**values) for key, text in run.environment.items()}
        environment = os.environ | prepare(folder, run, values, relay) | {"BB_REPORT": str(report)}
        # A relay started by a path of its own must not import this checkout by accident.
        environment["PYTHONPATH"] = str(ROOT) if relay.startswith(sys.executable) else ""
        tests = [str(path.name) if not one.startswith("-") else one for one in run.tests for path in found(copy, one)]
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", *tests, *more]
        with names_for(run, values, copy, python), (ARTIFACTS / f"{name}.txt").open("w") as output:
            code = subprocess.run(
                command, cwd=copy, env=environment, stdout=output, stderr=output, timeout=TIMEOUT, check=False
            ).returncode
        leaks = audit(folder / "relay.toml", relay)
    return summary(name, report, code) + leaks


def audit(config: Path, relay: str) -> int:
    """Audit the store that the run left behind; return 1, and print the leaks, if there are any."""
    done = subprocess.run(
        [*shlex.split(relay), "audit", "-c", str(config)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == 1:
        print("  failed: relay audit:\n" + "\n".join(done.stdout.splitlines()[-20:]))
    return int(done.returncode == 1)


def found(copy: Path, pattern: str) -> list[Path]:
    return [Path(pattern)] if pattern.startswith("-") else sorted(copy.glob(pattern))


def prepare(folder: Path, run: Run, values: dict[str, str], relay: str) -> dict[str, str]:
    """Write configurations and certificates; return what the suite reads from its environment."""
    (folder / "data").mkdir(mode=0o700)
    authority = trustme.CA()
    for file, host in (("server.pem", "relay.test"), ("sink.pem", "sink.test")):
        authority.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(str(folder / file))
    config, second, log = folder / "relay.toml", folder / "second.toml", folder / "relay.log"
    config.write_text(run.config.format(**values))
    other = {key: values[f"{key}2"] for key in ("smtp", "guarded", "tracker")}
    second.write_text(run.config.format(**values | other))
    settings = {
        "BB_LABEL": "relay",
        "BB_WORK": str(folder),
        "BB_SMTP_PORT": values["smtp"],
        "BB_UNAUTH_PORT": values["guarded"],
        "BB_SINK_PORT": values["sink"],
        "BB_SINK_CTL": values["control"],
        "BB_TRACKER": f"http://127.0.0.1:{values['tracker']}",
        "BB_TLS": "none",
        "BB_RETRY_S": "20",
        "BB_DELIVER_S": "15",
        "BB_MAX_RCPT": "1000",
        "BB_MAX_HOPS": "100",
        "BB_LOG": str(log),
        "BB_LOG_JSON": "1",
        "BB_QUEUE_DIR": str(folder / "data"),
        "BB_SQLITE": str(folder / "data" / "relay.db"),
        "BB_START_CMD": f"{relay} serve -c {config} >>{log} 2>&1",
        "BB_START2_CMD": f"{relay} serve -c {second} >>{log}.second 2>&1",
    }
    if FAKETIME.exists():
        settings["BB_FAKETIME_LIB"] = str(FAKETIME)
    return settings | {key: values[key] for key in run.environment if key.startswith("BB_")}


@contextmanager
def names_for(run: Run, values: dict[str, str], copy: Path, python: str) -> Iterator[None]:
    """Have the names answered that the run's relay asks for, beyond what the tests answer themselves."""
    nameserver, dns, sink = (int(values[key]) for key in ("nameserver", "dns", "sink"))
    if run.zone:
        stub = f"import threading; from bb.dnsstub import Stub; Stub({nameserver}); threading.Event().wait()"
        process = subprocess.Popen([python, "-c", stub], cwd=copy)
        try:
            yield
        finally:
            process.terminate()
            process.wait()
        return
    if run.notices:
        for serve in (lambda: answer_notices(nameserver, dns), lambda: pass_on_notices(sink)):
            threading.Thread(target=serve, daemon=True).start()
    yield


def summary(name: str, report: Path, code: int) -> int:
    """Print what came out, every failure and every reason to skip; return how many failed."""
    rows = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    count = {what: sum(row["outcome"] == what for row in rows) for what in ("passed", "failed", "skipped")}
    for row in rows:
        if row["outcome"] != "passed":
            print(f"  {row['outcome']}: {row['test']}: {row.get('why', '')[:300]}")
    broken = code != 0 and not count["failed"]
    print(
        f"abuse {name}: {count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped"
        + (f"; pytest ended with {code}, see {ARTIFACTS / name}.txt" if broken else ""),
        flush=True,
    )
    return int(count["failed"]) + broken


if __name__ == "__main__":
    sys.exit(main())
