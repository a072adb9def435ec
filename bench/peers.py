"""More servers to compare with, each signing: Postfix with rspamd, and Exim; `bench.more_peers` has two more.

Debian installs one mail server at a time. A variable of the environment therefore names a program that was unpacked
elsewhere: RELAY_BENCH_EXIM and RELAY_BENCH_OPENSMTPD, RELAY_BENCH_OPENSMTPD_DKIM for its filter, and RELAY_BENCH_HARAKA
for the folder node_modules.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.targets import DOMAIN, Postfix, Target

MILTER_WAIT = 300.0
"""Seconds until rspamd must have opened its socket: its first start compiles thousands of expressions."""


def program(variable: str, default: str) -> Path:
    """Return where a program lies, whether it is there or not."""
    return Path(os.environ.get(variable, default))


class PostfixRspamd(Postfix):
    """Postfix that signs through rspamd, as a milter that does nothing else."""

    name = "postfix+rspamd"
    base = Path("/run")

    @classmethod
    def lacks(cls) -> str:
        """See Target."""
        return super().lacks() or ("" if shutil.which("rspamd") else "Debian's rspamd is not installed")

    def _launch(self) -> None:
        folder = self.folder / "rspamd"
        folder.mkdir()
        (folder / "key.pem").write_bytes(self._key)
        (folder / "rspamd.conf").write_text(self._rspamd(folder))
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "_rspamd", "_rspamd")
        socket = folder / "milter.sock"
        self.more = f"smtpd_milters = unix:{socket}\nmilter_default_action = tempfail\nmilter_protocol = 6\n"
        self._milter = subprocess.Popen(
            ["rspamd", "-f", "-c", folder / "rspamd.conf", "-u", "_rspamd", "-g", "_rspamd"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up = time.monotonic() + MILTER_WAIT
        while not socket.exists():
            if time.monotonic() > give_up:
                raise SystemExit(f"rspamd opens no socket; see {folder}")
            time.sleep(0.1)
        super()._launch()

    def _rspamd(self, folder: Path) -> str:
        return f"""
options {{ pidfile = "{folder}/rspamd.pid"; rundir = "{folder}"; filters = "dkim"; local_addrs = "127.0.0.0/8";
  explicit_modules = ["dkim_signing"]; dns {{ nameserver = ["127.0.0.1:53:1"]; timeout = 0.05s; retransmits = 1; }}
  control_socket = "{folder}/control.sock mode=0600"; }}
logging {{ type = "file"; filename = "{folder}/rspamd.log"; level = "warning"; }}
worker "rspamd_proxy" {{ bind_socket = "{folder}/milter.sock mode=0666"; milter = yes; timeout = 120s; count = 2;
  upstream "local" {{ default = yes; self_scan = yes; }} }}
modules {{ path = "/usr/share/rspamd/plugins/dkim_signing.lua"; }}
actions {{ reject = 1000; add_header = 999; greylist = 998; }}
dkim_signing {{ enabled = true; sign_local = true; use_domain = "header"; use_esld = false; check_pubkey = false;
  allow_username_mismatch = true; allow_hdrfrom_mismatch = true;
  domain {{ {DOMAIN} {{ path = "{folder}/key.pem"; selector = "s1"; }} }} }}
"""

    def roots(self) -> list[int]:
        """See Target."""
        return [*super().roots(), self._milter.pid]

    def _end(self) -> None:
        super()._end()
        self._milter.terminate()
        self._milter.wait(30)


class EximDkim(Target):
    """Exim that signs, with settings for throughput. Its program must belong to root and be setuid."""

    name = "exim"
    base = Path("/var/spool")

    @classmethod
    def lacks(cls) -> str:
        """See Target."""
        if not cls._program().exists():
            return "Exim is not installed (RELAY_BENCH_EXIM may name an unpacked exim4)"
        return "" if os.geteuid() == 0 else "Exim starts only as root"

    @staticmethod
    def _program() -> Path:
        return program("RELAY_BENCH_EXIM", "/usr/sbin/exim4")

    def _launch(self) -> None:
        for name in ("spool", "log"):
            (self.folder / name).mkdir()
            shutil.chown(self.folder / name, "Debian-exim", "Debian-exim")
        (self.folder / "key.pem").write_bytes(self._key)
        shutil.chown(self.folder / "key.pem", "Debian-exim")
        config = Path("/etc/exim4/exim4.conf")  # Exim gives up its privileges under any other path.
        config.parent.mkdir(exist_ok=True)
        config.write_text(self._config())
        config.chmod(0o644)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.subreaper", self._program(), "-bdf", "-q1m"], stderr=subprocess.DEVNULL
        )

    def _config(self) -> str:
        return f"""
exim_path = {self._program()}
spool_directory = {self.folder}/spool
log_file_path = {self.folder}/log/%slog
pid_file_path = {self.folder}/exim.pid
primary_hostname = relay.bench
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
disable_ipv6 = true
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
keep_environment =
acl_smtp_rcpt = accept_local
never_users =
message_size_limit = 100M
deliver_drop_privilege = true
split_spool_directory = true
smtp_accept_max = 250
smtp_connect_backlog = 256
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
check_log_space = 0
check_log_inodes = 0
check_spool_space = 0
check_spool_inodes = 0
begin acl
accept_local:
  accept hosts = 127.0.0.1
  deny
begin routers
smarthost:
  driver = manualroute
  domains = *
  transport = out
  route_list = * 127.0.0.1 byname
  self = send
  host_find_failed = defer
begin transports
out:
  driver = smtp
  port = {self._sink_port}
  allow_localhost
  hosts_avoid_tls = *
  dkim_domain = {DOMAIN}
  dkim_selector = s1
  dkim_private_key = {self.folder}/key.pem
  dkim_canon = relaxed
  dkim_hash = sha256
begin retry
* * F,1h,1m
"""

    def roots(self) -> list[int]:
        """See Target."""
        return [self._process.pid]

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(30)
