"""A lack of resources of this host is never taken for a reply of the destination."""

import errno
import os
import socket

import pytest

from relay.dsn.classify import classify
from relay.dsn.rules_file import built_in_rules
from relay.resolver import Resolver, TemporaryFailure, os_error_text


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_no_free_descriptor_is_no_rate_limit(number: int) -> None:
    text = os_error_text(OSError(number, os.strerror(number), "/a/local/path.py"))
    assert "/a/local" not in text
    for status, before in (("4.4.3", "MX of there.test: "), ("4.4.1", "no connection: ")):
        meaning = classify(built_in_rules(), f"451 {status} {before}{text}", 451, status, "connect")
        assert meaning.category in ("network", "dns_failure", "unknown"), meaning


def test_other_errors_have_the_words_of_the_system() -> None:
    assert os_error_text(OSError(errno.ECONNREFUSED, "Connection refused")) == "Connection refused"
    assert os_error_text(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_no_descriptor_for_a_query_is_no_answer_of_the_name_server(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Resolver([("127.0.0.1", 53)])

    def no_socket(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/a/local/path.py")

    monkeypatch.setattr(socket, "socket", no_socket)
    answer = await resolver.mx("there.test")
    assert isinstance(answer, TemporaryFailure)
    assert answer.text.endswith(": the relay has no free file descriptors for a connection"), answer.text
    assert "answered" not in answer.text
    meaning = classify(built_in_rules(), f"451 4.4.3 {answer.text}", 451, "4.4.3", "connect")
    assert meaning.category in ("network", "dns_failure", "unknown"), meaning
