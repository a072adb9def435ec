"""The tracker's rate against nginx: `python -m bench.tracker`. Needs wrk; compares with nginx where that is installed.

nginx serves its empty_gif with an access log, from one worker. relay verifies a token and answers the same pixel; each
open is in the store, synced, with the address of its recipient, and has its log line. The pixels are those of many
messages it sent before, fetched by several mail programs, so that no cache knows them.

wrk takes a core of its own. Rates suffer from whatever else the machine does; CPU time a pixel, all threads of the
server, much less, so the figure for one core is what a second of CPU time gives. It counts until the last open is in
the store, not only until it is answered. Each reader has an address of its own, in X-Forwarded-For of a trusted proxy:
relay counts what one network requests again and again as one event. Links take their turn behind the pixels.
"""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

from bench import cpu
from bench.instruments import Load, UvloopInstrument
from bench.mail import Figures, measure
from bench.targets import Relay, free_port, signing_key
from relay.rewrite.tokens import Kind, Token, parse_keyring, sign_token


class Nginx:
    """nginx with one worker."""

    def __init__(self, program: str) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="bench-nginx-"))
        config = self._folder / "nginx.conf"
        config.write_text(f"""
worker_processes 1; daemon off; pid {self._folder}/pid; error_log {self._folder}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log {self._folder}/access.log; keepalive_requests 1000000; client_body_temp_path {self._folder}/b;
proxy_temp_path {self._folder}/p; fastcgi_temp_path {self._folder}/f; uwsgi_temp_path {self._folder}/u;
scgi_temp_path {self._folder}/s;
server {{ listen 127.0.0.1:{self.port}; location / {{ empty_gif; }} }} }}
""")
        self._process = subprocess.Popen([program, "-c", str(config), "-p", str(self._folder)])
        time.sleep(1)

    @property
    def pid(self) -> int:
        """The process above its worker."""
        return self._process.pid

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._folder)


AGENTS = (
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.5.0",
    "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; Microsoft Outlook 16.0.17928; Microsoft Outlook 16.0)",
)

MESSAGES = 2000

CONNECTIONS = 32
"""Readers that fetch at full rate."""

FEW = 2

LONG = 600
"""Seconds that wrk is told to go on for when it is stopped before."""

_SCRIPT = """
local paths, agents, heads, at = {paths}, {agents}, {{}}, 0
function init(args)
  for k, path in ipairs(paths) do
    heads[k] = "GET " .. path .. " HTTP/1.1\\r\\nHost: track.bench\\r\\nUser-Agent: " .. agents[k % #agents + 1]
      .. "\\r\\nAccept: image/*,*/*\\r\\nX-Forwarded-For: 10."
  end
end
function request()
  at = at + 1
  local n = math.floor(at / #heads)
  return heads[at % #heads + 1] .. math.floor(n / 256) % 256 .. "." .. n % 256 .. ".7\\r\\n\\r\\n"
end
"""


@dataclass(frozen=True)
class Rate:
    """What wrk saw, and what the server spent: pixels a second, p99 in milliseconds, CPU microseconds a pixel."""

    pixels: int
    rate: float
    p99: float
    cpu_us: float

    def __str__(self) -> str:
        return f"{self.rate:8.0f} pixels/s   p99 {self.p99:6.1f} ms   {self.cpu_us:6.1f} us CPU a pixel"


class Readers:
    """wrk, fetching the pixels of many messages with several mail programs, or following their links."""

    def __init__(self, folder: Path, paths: list[str]) -> None:
        self._script = folder / f"requests{len(list(folder.glob('*.lua')))}.lua"
        self._script.write_text(_SCRIPT.format(paths=_lua(paths), agents=_lua(AGENTS)))

    def begin(self, port: int, seconds: int, connections: int = CONNECTIONS) -> "subprocess.Popen[str]":
        """Begin to fetch."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(self._script)]
        return subprocess.Popen([*command, f"http://127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True)

    def end(self, wrk: "subprocess.Popen[str]", server: int, before: float) -> Rate:
        """Wait for wrk, and for the server to be done with what it was asked; `before` is its CPU time until then."""
        said = wrk.communicate()[0]
        if "Non-2xx or 3xx" in said or "Socket errors" in said:
            raise SystemExit(said)
        pixels = int(_found(r"(\d+) requests in", said)[1])
        p99 = _found(r"99%\s+([\d.]+)(us|ms|s)", said)
        p99_ms = float(p99[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
        spent = _at_rest(server) - before
        return Rate(pixels, float(_found(r"Requests/sec:\s+([\d.]+)", said)[1]), p99_ms, spent / pixels * 1e6)

    def fetch(self, port: int, seconds: int, server: int) -> Rate:
        """Fetch for so long from a server that does nothing else."""
        return self.end(self.begin(port, seconds), server, cpu.seconds([server]))


def _found(pattern: str, said: str) -> re.Match[str]:
    """Return where the pattern matches what wrk printed; its output ends the program when it does not."""
    match = re.search(pattern, said)
    if match is None:
        raise SystemExit(said)
    return match


def _lua(texts: "list[str] | tuple[str, ...]") -> str:
    return "{" + ", ".join(map(json.dumps, texts)) + "}"


def _at_rest(server: int) -> float:
    """Return the CPU time of the server once it has nothing to do any more."""
    spent = cpu.seconds([server])
    while True:
        time.sleep(0.5)
        before, spent = spent, cpu.seconds([server])
        if spent - before < 0.02:
            return spent


@click.command()
@click.option("--seconds", default=8, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--messages", default=3000, show_default=True, help="Sent beside the pixels; 0 for none.")
def main(seconds: int, rounds: int, messages: int) -> None:
    """Measure pixels a second, and what pixels at full rate and mail at full rate do to each other."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed (Debian package wrk)")
    sink = UvloopInstrument()
    relay = Relay(sink.port, signing_key())
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    nginx = Nginx(program) if program else None
    try:
        relay.start()
        measure(relay, sink, Load("W1", 20, MESSAGES))
        readers = Readers(relay.folder, _paths(relay, Kind.OPEN))
        fetched = _against_nginx(relay, nginx, readers, seconds, rounds)
        fetched += _redirects(relay, Readers(relay.folder, _paths(relay, Kind.CLICK)), seconds, rounds)
        if messages:
            fetched += _beside_mail(relay, sink, readers, messages)
        _check_kept(relay, fetched)
    finally:
        relay.stop()
        sink.close()
        if nginx:
            nginx.close()


def _against_nginx(relay: Relay, nginx: Nginx | None, readers: Readers, seconds: int, rounds: int) -> int:
    """Measure in turns, tell the medians, and return how many pixels relay answered."""
    (pid,) = relay.roots()
    readers.fetch(relay.tracker, 1, pid)
    ours: list[Rate] = []
    theirs: list[Rate] = []
    kept = _opens(relay)
    for _ in range(rounds):
        ours.append(readers.fetch(relay.tracker, seconds, pid))
        click.echo(f"relay  {ours[-1]}")
        if nginx:
            theirs.append(readers.fetch(nginx.port, seconds, nginx.pid))
            click.echo(f"nginx  {theirs[-1]}")
    if theirs:
        rate = median(one.rate for one in ours) / median(one.rate for one in theirs)
        spent = median(one.cpu_us for one in theirs) / median(one.cpu_us for one in ours)
        click.echo(f"relay has {rate:.2f} of nginx's rate; for the same CPU time, {spent:.2f} of its pixels")
    else:
        click.echo("nginx is left out: it is not installed")
    return kept + sum(one.pixels for one in ours)


def _redirects(relay: Relay, readers: Readers, seconds: int, rounds: int) -> int:
    """Follow links at full rate; return how many were answered."""
    (pid,) = relay.roots()
    found = [readers.fetch(relay.tracker, seconds, pid) for _ in range(rounds)]
    for one in found:
        click.echo(f"links  {one}")
    return sum(one.pixels for one in found)


def _beside_mail(relay: Relay, sink: UvloopInstrument, readers: Readers, messages: int) -> int:
    """Fetch pixels, a few and at full rate, while mail runs at full rate; return how many were answered."""
    (pid,) = relay.roots()
    load = Load("W2", 20, messages)
    measure(relay, sink, Load("W2", 20, messages // 4))
    click.echo(f"mail alone            {_mail(measure(relay, sink, load))}")
    answered = 0
    for connections in FEW, CONNECTIONS:
        before = cpu.seconds([pid])
        wrk = readers.begin(relay.tracker, LONG, connections)
        mail = measure(relay, sink, load)
        wrk.send_signal(signal.SIGINT)
        pixels = readers.end(wrk, pid, before)
        click.echo(f"mail, {connections:2} fetch pixels {_mail(mail)}")
        click.echo(f"                      {pixels.rate:5.0f} pixels/s   p99 {pixels.p99:.1f} ms")
        answered += pixels.pixels
    return answered


def _mail(found: Figures) -> str:
    return (
        f"{found.delivered_rate:4.0f} messages/s   accepted {found.accepted_rate:4.0f}/s   "
        f"last 250 p99 {1000 * found.final_reply_p99:4.0f} ms   arrival p50 {1000 * found.delay_p50:4.0f} ms"
    )


def _paths(relay: Relay, kind: Kind) -> list[str]:
    """Return the paths of the pixels of what was sent, or of a link in each."""
    target = "https://shop.example/products/4711?utm_source=newsletter" if kind is Kind.CLICK else ""
    keys = parse_keyring((relay.folder / "data" / "tracker.key").read_text().split())
    with closing(sqlite3.connect(relay.folder / "data" / "relay.db")) as store:
        found = store.execute("SELECT queue_id, number FROM entries").fetchall()
    return [f"/{kind}/{sign_token(keys, Token(kind, queue_id, number, target))}" for queue_id, number in found]


def _opens(relay: Relay) -> int:
    with closing(sqlite3.connect(relay.folder / "data" / "relay.db")) as store:
        opens: int = store.execute("SELECT count(*) FROM events WHERE kind IN ('open', 'click')").fetchone()[0]
        return opens


def _check_kept(relay: Relay, fetched: int) -> None:
    """Hold the server to it: every pixel answered is an open in the store. wrk does not wait for its last answers."""
    kept = _opens(relay)
    click.echo(f"{fetched} pixels answered, {kept} opens in the store")
    if kept < fetched:
        raise SystemExit("opens are missing")


if __name__ == "__main__":
    main()
