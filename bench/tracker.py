"""The tracker's rate against nginx: `python -m bench.tracker`. Needs wrk; compares with nginx where that is installed.

nginx serves its empty_gif with an access log, from one worker; relay verifies a token, records the open durably, and
answers the same pixel.
"""

import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import click

from bench.mail import Load, Sink, measure
from bench.targets import Relay, free_port, signing_key
from relay.config import check
from relay.mail.queue_id import queue_id
from relay.rewrite.tokens import Kind, Token, parse_keyring, sign_token


class Nginx:
    """nginx with one worker."""

    def __init__(self) -> None:
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
        self._process = subprocess.Popen([_nginx(), "-c", str(config), "-p", str(self._folder)])
        time.sleep(1)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._folder)


def _nginx() -> str | None:
    return shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def wrk(url: str, seconds: int, connections: int = 32) -> tuple[float, float]:
    """Return requests a second and the p99 in milliseconds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
    if "Non-2xx" in said:
        raise SystemExit(said)
    return rate, float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


@click.command()
@click.option("--seconds", default=8, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(seconds: int, rounds: int) -> None:
    """Measure pixels a second, and the pixel's latency while mail runs at full rate."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed (Debian package wrk)")
    sink = Sink()
    relay = Relay(sink.port, signing_key())
    nginx = Nginx() if _nginx() else None
    try:
        relay.start()
        settings, faults, _ = check(relay.config, {})
        if settings is None:
            raise SystemExit(str(faults))
        keys = parse_keyring((relay.folder / "data" / "tracker.key").read_text().split())
        token = sign_token(keys, Token(Kind.OPEN, queue_id(time.time(), 1), 0))
        pixel = f"http://127.0.0.1:{relay.tracker}/o/{token}"
        for _ in range(rounds):
            rate, slow = wrk(pixel, seconds)
            click.echo(f"relay  {rate:8.0f} pixels/s   p99 {slow:6.1f} ms")
            if nginx:
                rate, slow = wrk(f"http://127.0.0.1:{nginx.port}/", seconds)
                click.echo(f"nginx  {rate:8.0f} pixels/s   p99 {slow:6.1f} ms")
        if nginx is None:
            click.echo("nginx is left out: it is not installed")
        _beside_mail(relay, sink, pixel, seconds)
    finally:
        relay.stop()
        sink.close()
        if nginx:
            nginx.close()


def _beside_mail(relay: Relay, sink: Sink, pixel: str, seconds: int) -> None:
    """Fetch a few pixels while mail runs at full rate."""
    alone = measure(relay, sink, Load("W2", 20, 2000))
    few = subprocess.Popen(
        ["wrk", "-t1", "-c2", f"-d{seconds}s", "--latency", pixel], stdout=subprocess.PIPE, text=True
    )
    beside = measure(relay, sink, Load("W2", 20, 2000))
    said = few.communicate()[0]
    slow = re.search(r"99%\s+(\S+)", said)[1]
    click.echo(
        f"mail alone {alone.delivered_rate:.0f}/s, beside pixels {beside.delivered_rate:.0f}/s;"
        f" the pixel's p99 beside mail: {slow}"
    )


if __name__ == "__main__":
    main()
