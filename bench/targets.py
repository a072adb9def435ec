"""The servers that are measured: relay, Postfix, and Postfix with OpenDKIM. Each has a folder and ports of its own."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from relay.mailauth.dkim_keys import generate_key

SBIN = Path("/usr/sbin")

POSTFIX_DAEMONS = Path("/usr/lib/postfix/sbin")

DOMAIN = "sender.bench"

CHECKOUT = Path(__file__).parent.parent
"""Where the sources of this relay are."""


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Target:
    """A server that takes mail on `port` and delivers it to the sink."""

    name = ""
    base = Path(tempfile.gettempdir())
    """Where the folder is made."""

    def __init__(self, sink_port: int, key: bytes) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-", dir=self.base))
        self.folder.chmod(0o755)
        self._sink_port = sink_port
        self._key = key

    @classmethod
    def lacks(cls) -> str:
        """Return what is missing to run it here, "" when nothing is."""
        return ""

    def start(self) -> None:
        """Start and wait until it answers."""
        self._launch()
        give_up = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as greeting:
                    if greeting.recv(3) == b"220":
                        return
            except OSError:
                pass
            if time.monotonic() > give_up:
                raise SystemExit(f"{self.name} does not answer; see {self.folder}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it and remove its folder."""
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def roots(self) -> list[int]:
        """Return the processes it consists of, with all below them."""
        raise NotImplementedError

    def _launch(self) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError


class Relay(Target):
    """relay, tracking and signing."""

    name = "relay"
    more = ""
    """What is added to the configuration."""

    def __init__(self, sink_port: int, key: bytes) -> None:
        super().__init__(sink_port, key)
        self.environment: dict[str, str] = {}
        self.checkout = CHECKOUT

    def _launch(self) -> None:
        keys = self.folder / "data" / "dkim" / DOMAIN
        keys.mkdir(parents=True)
        (self.folder / "data").chmod(0o700)
        (keys / "s1.pem").write_bytes(self._key)
        (keys / "s1.pem").chmod(0o600)
        self.tracker = free_port()
        self.config = self.folder / "relay.toml"
        self.config.write_text(self._config())
        self._process = subprocess.Popen(
            [sys.executable, "-m", "relay.cli", "serve", "-c", str(self.config)],
            env={**os.environ, **self.environment},
            cwd=self.checkout,
        )

    def _config(self) -> str:
        return f"""
[server]
hostname = "relay.bench"
data_dir = "{self.folder}/data"
[[listener]]
name = "submission"
address = "127.0.0.1:{self.port}"
[tracker]
address = "127.0.0.1:{self.tracker}"
base_url = "http://track.bench"
trusted_proxies = ["127.0.0.1"]
[smtp]
max_connections = 2000
max_connections_per_client = 2000
[limits]
max_message_size = "100MiB"
[[provider]]
name = "sink"
host = "127.0.0.1"
port = {self._sink_port}
tls = "none"
connections = 20
[defaults]
provider = "sink"
[domains."{DOMAIN}"]
dkim = {{ selectors = ["s1"] }}
[log]
file = "relay.log"
{self.more}
"""

    def roots(self) -> list[int]:
        """See Target."""
        return [self._process.pid]

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(60)


class EarlierRelay(Relay):
    """relay of another checkout, with the compiled code that is beside its sources."""

    name = "relay-earlier"

    def __init__(self, checkout: Path, sink_port: int, key: bytes) -> None:
        super().__init__(sink_port, key)
        self.checkout = checkout


class Postfix(Target):
    """Debian's Postfix with settings for throughput: it neither signs nor tracks."""

    name = "postfix"
    more = ""

    @classmethod
    def lacks(cls) -> str:
        """See Target."""
        if not (POSTFIX_DAEMONS / "master").exists():
            return "Debian's postfix is not installed"
        return "" if os.geteuid() == 0 else "Postfix starts only as root"

    def _launch(self) -> None:
        for name in ("conf", "queue", "data", "log"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        (self.folder / "conf" / "main.cf").write_text(self._main())
        (self.folder / "conf" / "master.cf").write_text(self._master())
        subprocess.run([SBIN / "postfix", "-c", self.folder / "conf", "start"], check=True, capture_output=True)

    def _main(self) -> str:
        return f"""
compatibility_level = 3.6
queue_directory = {self.folder}/queue
data_directory = {self.folder}/data
command_directory = {SBIN}
daemon_directory = {POSTFIX_DAEMONS}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = relay.bench
mydestination =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{self._sink_port}
disable_dns_lookups = yes
smtp_host_lookup = native
smtp_tls_security_level = none
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
message_size_limit = 104857600
maillog_file = {self.folder}/log/maillog
maillog_file_prefixes = {self.folder}
default_process_limit = 200
in_flow_delay = 0
max_use = 10000
smtp_destination_concurrency_limit = 20
initial_destination_concurrency = 20
smtp_destination_concurrency_positive_feedback = 1
smtp_connection_cache_destinations = [127.0.0.1]:{self._sink_port}
smtp_connection_cache_on_demand = yes
{self.more}
"""

    def _master(self) -> str:
        services = [f"127.0.0.1:{self.port} inet n - n - - smtpd", "cleanup unix n - n - 0 cleanup"]
        services += ["qmgr unix n - n 300 1 qmgr", "rewrite unix - - n - - trivial-rewrite"]
        services += [f"{name} unix - - n - 0 bounce" for name in ("bounce", "defer", "trace")]
        services += [f"{name} unix - - n - - smtp" for name in ("smtp", "relay")]
        services += [f"{name} unix - - n - - error" for name in ("error", "retry")]
        services += ["tlsmgr unix - - n 1000? 1 tlsmgr", "proxymap unix - - n - - proxymap"]
        services += ["anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache", "showq unix n - n - - showq"]
        services += ["postlog unix-dgram n - n - 1 postlogd"]
        return "\n".join([*services, ""])

    def roots(self) -> list[int]:
        """See Target."""
        return [int((self.folder / "queue" / "pid" / "master.pid").read_text())]

    def _end(self) -> None:
        subprocess.run([SBIN / "postfix", "-c", self.folder / "conf", "stop"], check=False, capture_output=True)


class PostfixOpenDkim(Postfix):
    """The same, signing through OpenDKIM."""

    name = "postfix+opendkim"
    base = Path("/run")
    """OpenDKIM reads no configuration below a folder that everybody may write to."""

    @classmethod
    def lacks(cls) -> str:
        """See Target."""
        return super().lacks() or ("" if (SBIN / "opendkim").exists() else "Debian's opendkim is not installed")

    def _launch(self) -> None:
        folder = self.folder / "milter"
        folder.mkdir()
        (folder / "key.pem").write_bytes(self._key)
        (folder / "key.pem").chmod(0o600)
        (folder / "opendkim.conf").write_text(f"""
Syslog no
UserID opendkim
Mode s
Domain {DOMAIN}
Selector s1
KeyFile {folder}/key.pem
Canonicalization relaxed/relaxed
Socket local:{folder}/milter.sock
UMask 000
RequireSafeKeys no
PidFile {folder}/opendkim.pid
OversignHeaders From
InternalHosts 127.0.0.1
""")
        for path in (folder, folder / "key.pem"):
            shutil.chown(path, "opendkim")
        self.more += (
            f"smtpd_milters = unix:{folder}/milter.sock\nmilter_default_action = tempfail\nmilter_protocol = 6\n"
        )
        self._milter = subprocess.Popen([SBIN / "opendkim", "-f", "-x", folder / "opendkim.conf"])
        super()._launch()

    def roots(self) -> list[int]:
        """See Target."""
        return [*super().roots(), self._milter.pid]

    def _end(self) -> None:
        super()._end()
        self._milter.terminate()
        self._milter.wait(30)


def signing_key() -> bytes:
    """Return a new RSA-2048 key, the same for all targets of a run."""
    return generate_key("rsa-sha256")
