"""The forms of the queue that programs for Postfix read."""

from typing import Any

from relay.cli.mailq import mailq_lines, postqueue_members, shape_lines

NOW = 1_800_000_000.0


def entry(queue_id: str, recipient: str, **about: Any) -> dict[str, Any]:
    return {
        "queue_id": queue_id,
        "recipient": recipient,
        "status": "deferred",
        "reverse_path": "app@acme.test",
        "size": 1500,
        "created_at": "2027-01-15T08:00:00.250Z",
        "reason": "",
        "reply": "",
        **about,
    }


def test_an_empty_queue_is_said_as_by_postqueue() -> None:
    assert list(mailq_lines([])) == ["Mail queue is empty"]


def test_messages_are_listed_in_the_layout_of_postqueue() -> None:
    lines = list(
        mailq_lines(
            [
                entry("1M8Q63KLBPYAPC", "a@x.test", reply="452 4.2.2 full"),
                entry("1M8Q63KLBPYAPC", "b@x.test", reply="452 4.2.2 full"),
                entry("1M8Q63KLBPYAPD", "c@x.test", status="processed", reverse_path="", size=3000),
                entry("1M8Q63KLBPYAPE", "d@x.test", status="held", reason="held by the operator"),
            ]
        )
    )
    assert lines[0] == "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
    assert lines[1].split()[:2] == ["1M8Q63KLBPYAPC", "1500"]
    assert lines[1][47:] == "app@acme.test"
    assert lines[2] == "(452 4.2.2 full)".rjust(76)
    assert lines[3:5] == [" " * 47 + "a@x.test", " " * 47 + "b@x.test"]
    assert lines[6].startswith("1M8Q63KLBPYAPD*       3000 ")
    assert lines[6].endswith(" MAILER-DAEMON")
    assert lines[9].startswith("1M8Q63KLBPYAPE! ")
    assert lines[-1] == "-- 5 Kbytes in 3 Requests."


def test_what_came_from_outside_does_not_control_the_terminal() -> None:
    lines = list(mailq_lines([entry("1M8Q63KLBPYAPC", "a@x.test", reply="550 \x1b[31mno")]))
    assert not any("\x1b" in line for line in lines)


def test_an_entry_has_the_members_of_postqueue() -> None:
    assert postqueue_members(entry("1M8Q63KLBPYAPC", "a@x.test", status="held", reason="held by the operator")) == {
        "queue_name": "hold",
        "arrival_time": 1_800_000_000,
        "message_size": 1500,
        "sender": "app@acme.test",
        "recipients": [{"address": "a@x.test", "delay_reason": "held by the operator"}],
    }
    assert postqueue_members(entry("1M8Q63KLBPYAPC", "a@x.test"))["recipients"] == [{"address": "a@x.test"}]


def test_the_shape_counts_by_domain_and_age() -> None:
    entries = [
        entry("1M8Q63KLBPYAPC", "a@Big.test"),
        entry("1M8Q63KLBPYAPC", "b@big.test", created_at="2027-01-15T07:50:00Z"),
        entry("1M8Q63KLBPYAPD", "c@small.test", created_at="2027-01-13T07:50:00Z"),
    ]
    lines = list(shape_lines(entries, "recipient", 12, NOW + 60))
    assert lines[0].split() == ["T", "5", "10", "20", "40", "80", "160", "320", "640", "1280", "1280+"]
    assert [line.split() for line in lines[1:]] == [
        ["TOTAL", "3", "1", "0", "1", "0", "0", "0", "0", "0", "0", "1"],
        ["big.test", "2", "1", "0", "1", "0", "0", "0", "0", "0", "0", "0"],
        ["small.test", "1", "0", "0", "0", "0", "0", "0", "0", "0", "0", "1"],
    ]
    assert len({len(line) for line in lines}) == 1
    assert list(shape_lines([], "recipient", 12, NOW))[1].split()[:2] == ["TOTAL", "0"]


def test_the_shape_of_the_senders_has_a_name_for_mail_without_one() -> None:
    lines = list(shape_lines([entry("1M8Q63KLBPYAPC", "a@x.test", reverse_path="")], "reverse_path", 20, NOW))
    assert lines[2].split()[0] == "MAILER-DAEMON"
