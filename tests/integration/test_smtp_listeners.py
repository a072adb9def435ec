"""The listeners of mail from the opening of their sockets to the stop, also before all of them are served."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from relay.app.alert_mailer import AlertQueue
from relay.app.context import AppContext
from relay.app.observer import Observer
from relay.app.smtp_listeners import SmtpListeners
from relay.config.certificates import CertificateError
from relay.config.settings import Settings
from relay.log import open_log
from relay.queue.bounce_policy import BouncePolicy
from relay.storage.store import Store
from relay.submission.credential_keys import CredentialKeys
from tests.ports import free_port
from tests.servers.smtp_in_harness import Client, RecordingHandler
from tests.servers.waiting import until


def new_listeners(folder: Path, *tables: dict[str, Any], **sections: Any) -> tuple[SmtpListeners, Observer]:
    """Return the listeners of a configuration, which are not open yet, and what observes them."""
    listeners = [{"address": "127.0.0.1:0", **table} for table in tables]
    server = {"hostname": "relay.test", "data_dir": str(folder)}
    settings = Settings.model_validate({"server": server, "listener": listeners, **sections})
    alerts = AlertQueue(lambda: settings, time.time)
    log = open_log(folder / "log", "json", "info")
    observer = Observer(log, time.time, alerts.send)
    context = AppContext(
        settings=lambda: settings,
        bounce_policy=cast("Any", BouncePolicy),
        store=cast("Store", None),
        observer=observer,
        alerts=alerts,
        log=log,
        clock=time.time,
        new_id=str,
        wake=asyncio.Event(),
        stack=AsyncExitStack(),
    )
    return SmtpListeners(context, CredentialKeys(None, time.time)), observer


@asynccontextmanager
async def clients() -> AsyncIterator[list[Client]]:
    opened: list[Client] = []
    yield opened
    for client in opened:
        await client.close()


async def greeted(port: int) -> Client:
    client = await Client.connect(port)
    assert (await client.reply()).startswith("220 ")
    return client


async def test_a_listener_has_its_connections_before_it_is_served(tmp_path: Path) -> None:
    """Of four connections each of two listeners has one for itself. Submission had all while inbound mail started."""
    listeners, observer = new_listeners(
        tmp_path, {"name": "in"}, {"name": "mx", "kind": "inbound"}, smtp={"max_connections": 4}
    )
    async with clients() as opened:
        await listeners.listen()
        await listeners.serve("submission", RecordingHandler())
        for _ in range(3):
            opened.append(await greeted(listeners.servers["in"].port))
        opened.append(await Client.connect(listeners.servers["in"].port))
        assert (await opened[-1].reply()).startswith("421 4.3.2 Too many connections")
        text = observer.metrics.exposition().decode()
        assert 'relay_smtp_connections{listener="in"} 3.0' in text
        assert 'relay_smtp_connections{listener="mx"} 0.0' in text
    await listeners.stop()


async def test_a_stop_closes_listeners_that_are_not_served_yet_at_once(tmp_path: Path) -> None:
    """Their clients waited for the end of the transactions of others."""
    port = free_port()
    listeners, _ = new_listeners(
        tmp_path, {"name": "in"}, {"name": "mx", "kind": "inbound", "address": f"127.0.0.1:{port}"}
    )
    handler = RecordingHandler(gate=asyncio.Event())
    assert handler.gate is not None
    async with clients() as opened:
        await listeners.listen()
        await listeners.serve("submission", handler)
        opened.append(await greeted(listeners.servers["in"].port))
        commands = ("EHLO client.test", "MAIL FROM:<a@app.test>", "RCPT TO:<b@sink.test>", "DATA")
        assert (await opened[0].say(*commands)).startswith("354 ")
        opened[0].send(b"Subject: x\r\n\r\n.\r\n")
        await handler.begun.wait()

        stopping = asyncio.create_task(listeners.stop())
        await until(partial(is_refused, port))
        assert not stopping.done()
        handler.gate.set()
        assert (await opened[0].reply()).startswith("250 ")
        await stopping


async def is_refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # It closed while it opened the connection.
        return False
    writer.close()
    return False


async def test_certificates_are_read_before_a_port_opens(tmp_path: Path) -> None:
    """A start that fails takes no client: here the first port could not open either."""
    secure = {"kind": "inbound", "tls": "starttls", "certificate": str(tmp_path / "missing.pem")}
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        listeners, _ = new_listeners(tmp_path, {"name": "in", "address": taken}, {"name": "mx", **secure})
        with pytest.raises(CertificateError, match=r"missing\.pem"):
            await listeners.listen()
    await listeners.stop()
