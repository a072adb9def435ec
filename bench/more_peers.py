"""Haraka and OpenSMTPD, which sign. `bench.peers` names the variables of programs that lie elsewhere."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from bench.peers import program
from bench.targets import DOMAIN, Target

SIGNED_FIELDS = "From, Reply-To, Subject, Date, Message-ID, To, MIME-Version, Content-Type, List-Unsubscribe"

OPENSMTPD_QUEUE = Path("/var/spool/smtpd/queue")


class HarakaDkim(Target):
    """Haraka that signs, one process."""

    name = "haraka"

    @classmethod
    def lacks(cls) -> str:
        """See Target."""
        if not shutil.which("node"):
            return "node is not installed"
        if (cls._modules() / "Haraka" / "bin" / "haraka").exists():
            return ""
        return "Haraka is not installed (RELAY_BENCH_HARAKA names the folder node_modules)"

    @staticmethod
    def _modules() -> Path:
        return program("RELAY_BENCH_HARAKA", "/usr/local/lib/node_modules")

    def _launch(self) -> None:
        config = self.folder / "config"
        (config / "dkim" / DOMAIN).mkdir(parents=True)
        for name in ("queue", "log"):
            (self.folder / name).mkdir()
        (config / "dkim" / DOMAIN / "private").write_bytes(self._key)
        for name, text in self._files().items():
            (config / name).write_text(text)
        self._process = subprocess.Popen(
            ["node", self._modules() / "Haraka" / "bin" / "haraka", "-c", self.folder],
            env={**os.environ, "NODE_PATH": str(self._modules())},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _files(self) -> dict[str, str]:
        defaults = self._modules() / "Haraka" / "config" / "connection.ini"
        next_hop = f'{{"action":"accept","nexthop":"127.0.0.1:{self._sink_port}"}}'
        return {
            f"dkim/{DOMAIN}/selector": "s1",
            "dkim.ini": f"[sign]\nenabled=true\nselector=s1\ndomain={DOMAIN}\nheaders={SIGNED_FIELDS}\n"
            "[canon]\nbody=relaxed\n[verify]\nenabled=false\n",
            "smtp.ini": f"listen=127.0.0.1:{self.port}\ndaemonize=false\n",
            "outbound.ini": "enable_tls=false\nlocal_mx_ok=true\nconcurrency_max=100\ninet_prefer=v4\n",
            "me": "relay.bench\n",
            "log.ini": "level=notice\ntimestamps=true\n",
            "connection.ini": re.sub(r"(?m)^bytes=.*", "bytes=104857600", defaults.read_text()),
            "databytes": "104857600\n",
            "plugins": "relay\ndkim\n",
            "relay.ini": "[relay]\nacl=true\nforce_routing=true\nall=false\ndest_domains=false\n",
            "relay_acl_allow": "127.0.0.1/32\n",
            "relay_dest_domains.ini": f"[domains]\nany={next_hop}\n",
        }

    def roots(self) -> list[int]:
        """See Target."""
        return [self._process.pid]

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(30)


class OpenSmtpdDkim(Target):
    """OpenSMTPD that signs by its filter, with limits for throughput. Its queue lies at the place it was built with."""

    name = "opensmtpd"

    @classmethod
    def lacks(cls) -> str:
        """See Target."""
        if not cls._program().exists():
            return "OpenSMTPD is not installed (RELAY_BENCH_OPENSMTPD may name an unpacked smtpd)"
        if not cls._filter().exists():
            return "its filter-dkimsign is not installed (RELAY_BENCH_OPENSMTPD_DKIM may name one)"
        if any(path.is_file() for path in OPENSMTPD_QUEUE.rglob("*")):
            return f"there is mail in {OPENSMTPD_QUEUE}, which would be delivered during the measurement"
        return "" if os.geteuid() == 0 else "OpenSMTPD starts only as root"

    @staticmethod
    def _program() -> Path:
        return program("RELAY_BENCH_OPENSMTPD", "/usr/sbin/smtpd")

    @staticmethod
    def _filter() -> Path:
        return program("RELAY_BENCH_OPENSMTPD_DKIM", "/usr/libexec/opensmtpd/filter-dkimsign")

    def _launch(self) -> None:
        (self.folder / "key.pem").write_bytes(self._key)
        shutil.chown(self.folder / "key.pem", "opensmtpd", "opensmtpd")
        limits = "".join(
            f"mta limit {name}\n"
            for name in (
                "max-conn-per-host 50",
                "max-conn-per-route 50",
                "session-mail-max 100000",
                "session-transaction-delay 0",
                "conn-delay-host 0",
                "conn-delay-source 0",
                "conn-delay-connector 0",
                "conn-delay-relay 0",
                "conn-delay-domain 0",
                "max-conn-per-connector 50",
                "max-conn-per-relay 100",
                "max-conn-per-domain 100",
            )
        )
        sign = f"{self._filter()} -a rsa-sha256 -c relaxed/relaxed -d {DOMAIN} -s s1 -k {self.folder}/key.pem"
        config = self.folder / "smtpd.conf"
        config.write_text(f"""filter dkim proc-exec "{sign}" user opensmtpd group opensmtpd
{limits}scheduler limit max-inflight 20000
smtp max-message-size 100M
smtp limit max-mails 1000000
listen on 127.0.0.1 port {self.port} hostname relay.bench filter dkim
action "out" relay host smtp://127.0.0.1:{self._sink_port}
match from any for any action "out"
""")
        self._process = subprocess.Popen(
            [self._program(), "-d", "-f", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def roots(self) -> list[int]:
        """See Target."""
        return [self._process.pid]

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(30)
