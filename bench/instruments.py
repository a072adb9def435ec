"""Load sources and sinks. All times are seconds of the monotonic clock.

The project's own pair runs on uvloop. The pair in C, of the shared benchmark, needs less of the processor.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.targets import free_port
from bench.workloads import FROM, ID, TRACKER, workload

DRAIN = 120.0
"""Seconds the last delivery may take."""

C_SOURCE = (
    Path(os.environ.get("RELAY_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "bench" / "smtpbench.c"
)
"""Source and sink in C, whether they are there or not."""

C_ID = b"@@BENCHID-16ch@@"
"""Stands in a template where the source in C writes the 16 characters of the message's id."""


@dataclass(frozen=True)
class Load:
    """What is sent: sessions at a time, messages in all, messages through one connection (0: all of a session's)."""

    workload: str
    sessions: int
    messages: int
    per_connection: int = 0
    rate: float = 0.0


@dataclass(frozen=True)
class Sent:
    """When the source opened its first connection and got the last 250, and how long replies took."""

    first: float
    last: float
    reply_p50: float
    """Seconds until the 250: from the final dot (uvloop) or from MAIL (C)."""
    reply_p99: float


@dataclass(frozen=True)
class Arrived:
    """What reached the sink, and the seconds from MAIL to the arrival."""

    unique: int
    duplicates: int
    signed: int
    tracked: int
    last: float
    delay_p50: float
    delay_p99: float


class Instrument(Protocol):
    """A load source and a sink on `port`."""

    name: str
    port: int

    def begin(self, load: Load) -> None:
        """Make the sink ready to count this load."""

    def send(self, port: int, load: Load) -> Sent:
        """Send the load to a target, as fast as it is accepted or as the rate allows."""

    def arrived(self, load: Load) -> Arrived:
        """Wait until all has arrived, at most DRAIN."""

    def close(self) -> None:
        """End the sink."""


class UvloopInstrument:
    """The project's own source and sink; the sink stays for all loads."""

    name = "uvloop"

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.sink", str(self.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._replies = self._process.stdin, self._process.stdout

    def counts(self, command: bytes = b"count") -> dict[str, Any]:
        """Return the counts; "reset" begins anew."""
        self._commands.write(command + b"\n")
        self._commands.flush()
        counts: dict[str, Any] = json.loads(self._replies.readline())
        return counts

    def begin(self, load: Load) -> None:
        """See Instrument."""
        self.counts(b"reset")

    def send(self, port: int, load: Load) -> Sent:
        """See Instrument."""
        plan = json.dumps({"port": port, **asdict(load)})
        sent = _json_of([sys.executable, "-m", "bench.source", plan])
        return Sent(sent["first"], sent["last"], quantile(sent["waits"], 0.5), quantile(sent["waits"], 0.99))

    def arrived(self, load: Load) -> Arrived:
        """See Instrument."""
        give_up = time.monotonic() + DRAIN
        while (counts := self.counts())["unique"] < load.messages and time.monotonic() < give_up:
            time.sleep(0.1)
        return Arrived(
            unique=counts["unique"],
            duplicates=counts["taken"] - counts["unique"],
            signed=counts["signed"],
            tracked=counts["tracked"],
            last=counts["last"],
            delay_p50=quantile(counts["delays"], 0.5),
            delay_p99=quantile(counts["delays"], 0.99),
        )

    def close(self) -> None:
        """See Instrument."""
        self._commands.close()
        self._process.wait(10)


class CInstrument:
    """Source and sink in C; a sink serves one load and ends when all has arrived."""

    name = "C"

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="bench-c-"))
        self._program = self._folder / "smtpbench"
        subprocess.run(["cc", "-O2", "-o", self._program, C_SOURCE], check=True)
        self._sink: subprocess.Popen[bytes] | None = None

    @staticmethod
    def lacks() -> str:
        """Return what is missing to build it here, "" when nothing is."""
        if not C_SOURCE.exists():
            return f"{C_SOURCE} is not there (set RELAY_SHARED to the folder of the shared data)"
        return "" if shutil.which("cc") else "there is no C compiler"

    def begin(self, load: Load) -> None:
        """See Instrument."""
        self._end_sink()
        host = TRACKER.partition("//")[2]
        options = {"-p": self.port, "-n": load.messages, "--grep": host, "--idle": DRAIN, "--grace": 0.3}
        self._sink = subprocess.Popen(
            [self._program, "sink", *_arguments(options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self._sink.stderr is not None
        self._sink.stderr.readline()

    def send(self, port: int, load: Load) -> Sent:
        """See Instrument."""
        template = self._folder / f"{load.workload}.eml"
        if not template.exists():
            template.write_bytes(workload(load.workload).partition(b"\n")[2].replace(ID, 2 * C_ID))
        options = {"-p": port, "-n": load.messages, "-c": load.sessions, "-k": load.per_connection, "-f": template}
        options |= {"--rate": load.rate, "--from": FROM, "--to": "reader%ld@rcpt.bench"}
        sent = _json_of([str(self._program), "source", *_arguments(options)])
        if sent["sent"] != load.messages:
            raise SystemExit(f"the target accepted {sent['sent']} of {load.messages} messages: {sent}")
        waits = sent["accept_ms"]
        return Sent(sent["t_first"] / 1e9, sent["t_last_ack"] / 1e9, waits["p50"] / 1000, waits["p99"] / 1000)

    def arrived(self, load: Load) -> Arrived:
        """See Instrument."""
        assert self._sink is not None
        counts = json.loads(self._sink.communicate()[0])
        self._sink = None
        delays = counts["e2e_ms"] or {"p50": 0, "p99": 0}
        return Arrived(
            unique=counts["unique"],
            duplicates=counts["dups"],
            signed=counts["dkim"],
            tracked=counts["grep"],
            last=counts["t_last_msg"] / 1e9,
            delay_p50=delays["p50"] / 1000,
            delay_p99=delays["p99"] / 1000,
        )

    def close(self) -> None:
        """See Instrument."""
        self._end_sink()
        shutil.rmtree(self._folder)

    def _end_sink(self) -> None:
        if self._sink is not None:
            self._sink.terminate()
            self._sink.communicate()
            self._sink = None


def instruments(names: str) -> list[Instrument]:
    """Return the instruments of these names, apart by commas; one that cannot be built here is left out with a line."""
    found: list[Instrument] = []
    for name in names.split(","):
        if name == UvloopInstrument.name:
            found.append(UvloopInstrument())
        elif name != CInstrument.name:
            raise SystemExit(f"there is no instrument {name!r}: {UvloopInstrument.name} or {CInstrument.name}")
        elif CInstrument.lacks():
            print(f"the instrument in C is left out: {CInstrument.lacks()}", file=sys.stderr)
        else:
            found.append(CInstrument())
    return found


def quantile(ordered: list[float], part: float) -> float:
    """Return the value that this part of the ordered ones does not exceed, 0 when there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


def _arguments(options: dict[str, object]) -> list[str]:
    return [text for name, value in options.items() for text in (name, str(value))]


def _json_of(command: list[str]) -> dict[str, Any]:
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    found: dict[str, Any] = json.loads(printed)
    return found
