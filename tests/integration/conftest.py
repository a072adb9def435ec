"""What several integration tests share."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from relay.smtp_in import tls_context
from tests.integration.cluster import Cluster


@pytest.fixture
async def cluster(tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setattr("relay.storage.postgres.heartbeat.HEARTBEAT", 0.1)
    # What one node is notified of, it must not find by its own look.
    monkeypatch.setattr("relay.storage.postgres.store.POLL_INTERVAL", 3600.0)
    made = Cluster(tables, tmp_path)
    yield made
    for store in made.stores:
        await store.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that clients of `client_context` trust."""
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    """The TLS of a listener with the name relay.test."""
    file = tmp_path / "relay.pem"
    authority.issue_cert("relay.test").private_key_and_cert_chain_pem.write_to_path(str(file))
    return tls_context(file)


@pytest.fixture
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
