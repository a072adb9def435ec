"""The log: its lines are all known, documented and used; each form keeps strangers' text on its line."""

import errno
import io
import json
import logging
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from relay.events.event import Kind
from relay.log import Log, make_log, open_log
from relay.log.lines import LINES, level_of

ROOT = Path(__file__).parents[2]

CALL = re.compile(
    r"\blog\(\s*(f?)\"([a-z_]+\.[^\"]+)\"|\b_log\(\s*(f?)\"([a-z_]+\.[^\"]+)\"|_emit\(\s*(f?)\"([^\"]+)\""
)

NAME = re.compile(r"\"([a-z]+\.[a-z_]+)\"")

DELIVERED = {
    "queue_id": "0000000000000A",
    "recipient": "u@x.test",
    "remote": "mx.x.test[192.0.2.1]:25",
    "reply": "250 2.0.0 ok\nqueued",
    "status": "2.0.0",
    "delay": 1.25,
}


def written(form: str, line: str, **fields: object) -> str:
    stream = io.StringIO()
    make_log(stream, form)(line, **fields)
    return stream.getvalue()


def used() -> set[str]:
    """Names of lines the sources write."""
    names = {f"message.{kind.value}" for kind in Kind}
    for file in (ROOT / "relay").rglob("*.py"):
        if file.parent.name == "log":
            continue
        text = file.read_text(encoding="utf-8")
        if re.search(r"\b_?log\(", text):
            names |= {name for name in NAME.findall(text) if name.split(".")[0] in {one.split(".")[0] for one in LINES}}
    return names | {name for name in LINES if name.startswith(("log.", "library."))}


def called() -> set[str]:
    """Names given to log functions as literals."""
    found: set[str] = set()
    for file in (ROOT / "relay").rglob("*.py"):
        for match in CALL.finditer(file.read_text(encoding="utf-8")):
            formatted, name = next((match[i], match[i + 1]) for i in (1, 3, 5) if match[i + 1])
            if not formatted:
                found.add(name)
    return found


def test_every_line_written_is_known() -> None:
    assert called() - set(LINES) == set()


def test_every_known_line_is_written() -> None:
    assert set(LINES) - used() == set()


def test_the_document_lists_every_line_as_the_program_has_it() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| (\w+) \| (.+) \|$", (ROOT / "docs/log.md").read_text("utf-8"), re.MULTILINE)
    assert rows == [(name, level_of(name), told) for name, told in LINES.items()]


def test_an_unknown_line_raises_key_error() -> None:
    with pytest.raises(KeyError, match=r"no log line is called message\.lost"):
        written("json", "message.lost")


def test_a_line_is_one_object_of_json() -> None:
    line = json.loads(written("json", "message.delivered", **DELIVERED))
    assert line["event"] == "message.delivered"
    assert line["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["timestamp"])
    assert {key: line[key] for key in DELIVERED} == DELIVERED


def test_json_escapes_line_ends_in_received_text() -> None:
    told = written("json", "message.click", user_agent='x\r\n{"event":"message.delivered"}')
    assert told.count("\n") == 1


def test_a_line_for_a_console_is_text() -> None:
    line = written("console", "smtp.auth_failed", client="192.0.2.1", credential="a\x1b[2Jb\nc", listener="")
    assert re.search(
        r"^\d\d:\d\d:\d\d warning smtp\.auth_failed +client=192\.0\.2\.1 credential=a\\x1b\[2Jb\\nc$", line
    )


@pytest.mark.parametrize(("event", "status"), [("delivered", "sent"), ("deferred", "deferred"), ("bounced", "bounced")])
def test_the_postfix_form_of_delivery_lines(event: str, status: str) -> None:
    line = written("postfix", f"message.{event}", **DELIVERED)
    assert re.match(
        r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ relay/smtp\[\d+\]: 0000000000000A: to=<u@x\.test>, ", line
    )
    assert f"dsn=2.0.0, status={status} (250 2.0.0 ok\\nqueued)" in line
    assert "relay=mx.x.test[192.0.2.1]:25, delay=1.2, delays=" in line


def test_the_postfix_form_of_a_created_message() -> None:
    lines = written(
        "postfix",
        "message.created",
        queue_id="Q",
        client="127.0.0.1",
        message_id="<1@a>",
        reverse_path="a@b.test",
        size=9,
    ).splitlines()
    assert [line.split("relay/")[1].split("[")[0] for line in lines] == ["smtpd", "cleanup", "qmgr"]
    assert "client=unknown[127.0.0.1]" in lines[0]
    assert "message-id=<1@a>" in lines[1]
    assert "from=<a@b.test>, size=9, nrcpt=1 (queue active)" in lines[2]


def test_postfix_without_a_remote_answer() -> None:
    assert "relay=none" in written(
        "postfix", "message.deferred", queue_id="Q", recipient="u@x.test", reply="451 4.4.1 no"
    )


def test_levels_below_the_wanted_one_are_not_written() -> None:
    assert written("json", "smtp.connected") == ""
    stream = io.StringIO()
    make_log(stream, "json", logging.DEBUG)("smtp.connected", client="::1")
    assert '"level":"debug"' in stream.getvalue()


def test_records_of_libraries_are_written() -> None:
    stream = io.StringIO()
    make_log(stream, "json")
    logging.getLogger("aiohttp.server").warning("odd %s", "thing")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["logger"], line["message"]) == ("library.message", "aiohttp.server", "odd thing")
    assert "traceback" not in line


def test_an_exception_that_a_library_logs_is_in_the_line_with_its_traceback() -> None:
    stream = io.StringIO()
    make_log(stream, "json")
    try:
        json.loads("{}")["no such row"]
    except KeyError:
        logging.getLogger("aiohttp.server").exception("Error handling request")
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert line["message"] == "Error handling request"
    assert "in test_an_exception" in line["traceback"]
    assert "KeyError: 'no such row'" in line["traceback"]


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, relay.log as l; l.open_log(pathlib.Path(sys.argv[1]), 'json', 'info')('server.stopped')"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / "relay.log")], check=True, timeout=30)
    assert (tmp_path / "relay.log").read_text().count("server.stopped") == 2


class FullDisk(io.StringIO):
    """A stream that takes nothing while its disk is full."""

    is_full = False

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_full_disk_raises_nothing_and_lost_lines_are_counted() -> None:
    """What is told is durable: a client whose 250 is lost over a log line would send the message again."""
    stream = FullDisk()
    log = make_log(stream, "json")
    stream.is_full = True
    log("server.started")
    logging.getLogger("aiohttp.server").warning("nobody reads this")
    stream.is_full = False
    log("server.stopped")
    log("server.stopped")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["log.lost", "server.stopped", "server.stopped"]
    assert (lines[0]["lines"], lines[0]["level"]) == (2, "error")


def test_a_log_file_on_a_full_disk_raises_nothing() -> None:
    program = "import pathlib, relay.log as l; l.open_log(pathlib.Path('/dev/full'), 'json', 'info')('server.stopped')"
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=30, capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_several_lines_are_one_write_each_at_its_level() -> None:
    writes: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return super().write(text)

    log = Log(Stream(), "json", logging.INFO)
    log.several([("message.open", {"queue_id": "A"}), ("smtp.connected", {}), ("events.lost", {"limit": 1})])
    log.several([("smtp.connected", {})])
    (written,) = writes
    lines = [json.loads(line) for line in written.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [("message.open", "info"), ("events.lost", "error")]
    with pytest.raises(KeyError, match=r"no log line is called nonsense\.line"):
        log.several([("nonsense.line", {})])


def test_a_fifo_without_a_reader_stops_nothing_and_lost_lines_are_counted(tmp_path: Path) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    log = open_log(fifo, "json", "info")
    for number in range(40_000):
        log("message.processed", queue_id=f"Q{number}")

    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    text = b""
    for number in range(200):
        log("server.stopped", number=number)
        with suppress(BlockingIOError):
            text += os.read(reader, 1024 * 1024)
    os.close(reader)
    lines = [json.loads(line) for line in text.splitlines()]
    kept = [line for line in lines if line["event"] == "message.processed"]
    lost = sum(line["lines"] for line in lines if line["event"] == "log.lost")
    assert [line["queue_id"] for line in kept] == [f"Q{number}" for number in range(len(kept))]
    assert len(kept) < 40_000 <= len(kept) + lost
    assert lines[-1]["number"] == 199


def test_a_renamed_file_is_opened_anew_and_an_unusable_path_keeps_the_open_one(tmp_path: Path) -> None:
    file, rotated = tmp_path / "log" / "relay.log", tmp_path / "relay.log.1"
    file.parent.mkdir()
    log = open_log(file, "json", "info")
    log("server.started")
    file.rename(rotated)
    log.reopen()
    log("server.stopping")
    assert "server.stopping" in file.read_text()
    assert "server.stopping" not in rotated.read_text()

    file.rename(rotated)
    file.parent.rmdir()
    log.reopen()
    log("server.stopped")
    events = [json.loads(line)["event"] for line in rotated.read_text().splitlines()]
    assert events[-2:] == ["log.reopen_failed", "server.stopped"]


def test_a_line_cut_by_a_full_disk_is_completed_later(tmp_path: Path) -> None:
    """A file size limit stands for a disk that fills up in the middle of a line."""
    program = (
        "import pathlib, resource, signal, sys, relay.log as l\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "log = l.open_log(pathlib.Path(sys.argv[1]), 'json', 'info')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "[log('message.processed', queue_id=f'Q{n}', text='x' * 100) for n in range(20)]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "log('server.stopped')\n"
    )
    file = tmp_path / "relay.log"
    subprocess.run([sys.executable, "-c", program, str(file)], check=True, timeout=30)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    kept = [line["queue_id"] for line in lines if line["event"] == "message.processed"]
    (lost,) = [line["lines"] for line in lines if line["event"] == "log.lost"]
    assert kept == [f"Q{number}" for number in range(20 - lost)]
    assert lines[-1]["event"] == "server.stopped"
