"""`relay serve --dev`: its options, its folder, and what it prints."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from relay.config.dev import DevSettings, dev_settings
from relay.config.show import toml_value


def dev_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that hold with --dev."""
    for option in (
        click.option("--data-dir", type=click.Path(path_type=Path), help="With --dev: keep the mails in this folder."),
        click.option("--http-port", default=8025, show_default=True, type=click.IntRange(1, 65535), help="With --dev."),
        click.option("--smtp-port", default=2525, show_default=True, type=click.IntRange(1, 65535), help="With --dev."),
    ):
        command = option(command)
    return command


@contextmanager
def open_dev_settings(smtp_port: int, http_port: int, data_dir: Path | None) -> Iterator[DevSettings]:
    """Yield the settings, and say where everything is. Without a folder the mails are forgotten at the end."""
    folder = data_dir.absolute() if data_dir else Path(tempfile.mkdtemp(prefix="relay-dev-"))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "relay.toml"
    file.write_text(f"[server]\ndata_dir = {toml_value(str(folder))}\n", encoding="utf-8")
    click.echo(f"SMTP      127.0.0.1:{smtp_port}, without TLS; any user name and password are right")
    click.echo(f"mails     http://127.0.0.1:{http_port}")
    click.echo(f"commands  export RELAY_CONFIG={file}")
    click.echo("Nothing leaves this machine. Mail to hard@simulator.relay.invalid bounces. Ctrl-C ends it.")
    try:
        yield dev_settings(folder, smtp_port, http_port)
    finally:
        if data_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
