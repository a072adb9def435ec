"""The verdict over a run of nodes: it must find what it is there to find."""

from dataclasses import replace

from tests.abuse.nodes.story import Key, Kill, Limit, Note, Promise, Refusal, Restart, Story
from tests.abuse.nodes.verdict import Verdict, crowded, evaluate

HOURLY = Limit("identity", "limited.test", 2, 3600.0, each=True)

DAILY = Limit("provider", "limited.test", 3, 86400.0, each=False)


def note(queue_id: str, at: float, *, sender: str = "news@app.test", proof: str = "") -> Note:
    return Note(proof or queue_id, queue_id, "u@rcpt.test", sender, at)


def told(*notes: Note, promised: str = "", **more: object) -> Verdict:
    story = Story(
        promises=[Promise(one, one, ("u@rcpt.test",), 1.0) for one in promised],
        notes=list(notes),
        refusals=[],
        kills=[],
        restarts=[],
        held_back=frozenset(),
        limits=[],
        said={},
        leaks=[],
        began=0.0,
        drained=100.0,
    )
    return evaluate(replace(story, **more))  # type: ignore[arg-type]


def test_what_was_promised_and_never_came_is_lost() -> None:
    verdict = told(note("A", 2), promised="AB")
    assert (verdict.delivered, verdict.lost, verdict.holds) == (1, [("B", "u@rcpt.test")], False)


def test_what_a_limit_holds_back_is_not_lost() -> None:
    verdict = told(note("A", 2), promised="AB", held_back=frozenset({("B", "u@rcpt.test")}))
    assert (verdict.lost, verdict.held_back, verdict.holds) == ([], 1, True)


def test_what_came_twice_belongs_to_the_kill_that_had_it_in_hand() -> None:
    in_hand: frozenset[Key] = frozenset({("A", "u@rcpt.test")})
    kills = [Kill(0, 5.0, in_hand), Kill(1, 6.0, frozenset())]
    verdict = told(note("A", 4.9), note("A", 17), kills=kills)
    assert [kill["duplicates"] for kill in verdict.by_kill] == [1, 0]
    assert (verdict.duplicates, verdict.unexplained, verdict.takeover_seconds) == (1, [], [12.0])


def test_what_came_twice_without_a_reason_is_reported() -> None:
    kills = [Kill(0, 5.0, frozenset())]
    verdict = told(note("A", 4.9), note("A", 17), kills=kills)
    assert (verdict.unexplained, verdict.holds) == ([("A", "u@rcpt.test")], False)


def test_a_restart_explains_what_came_twice_around_it_and_has_its_time_of_refusals() -> None:
    restarts = [Restart("fast", 10.0, 12.0)]
    refusals = [Refusal(11.0, 451, "4.3.0 later"), Refusal(12.5, 451, "4.3.0 later"), Refusal(30.0, 0, "OSError")]
    verdict = told(note("A", 9), note("A", 13), note("B", 20), note("B", 21), restarts=restarts, refusals=refusals)
    assert verdict.by_restart == [
        {"mode": "fast", "at": 10.0, "away": 2.0, "refusals_451": 2, "seconds_of_451_after": 0.5, "duplicates": 1}
    ]
    assert verdict.unexplained == [("B", "u@rcpt.test")]


def test_a_message_sent_again_has_two_queue_ids() -> None:
    verdict = told(note("A", 2, proof="1"), note("B", 3, proof="1"), note("C", 4))
    assert (verdict.resent, verdict.duplicates) == (1, 0)


def test_limits_are_counted_each_by_itself_or_all_together() -> None:
    senders = ("a@limited.test", "a@limited.test", "b@limited.test", "b@limited.test", "news@app.test")
    notes = [note(f"Q{number}", number, sender=sender) for number, sender in enumerate(senders)]
    hourly, daily = told(*notes, limits=[HOURLY, DAILY]).limits
    assert (hourly["largest"], hourly["ledgers"], hourly["full"], hourly["holds"]) == (2, 2, 2, True)
    assert (daily["largest"], daily["holds"]) == (4, False)


def test_second_deliveries_count_in_the_limit() -> None:
    sent = [note(queue_id, at, sender="a@limited.test") for queue_id, at in (("A", 1), ("B", 2), ("B", 3))]
    (hourly,) = told(*sent, limits=[HOURLY]).limits
    assert (hourly["largest"], hourly["with_duplicates"], hourly["holds"]) == (2, 3, False)


def test_what_raised_in_a_node_is_a_defect() -> None:
    assert told(said={"store.trouble": 2}).holds
    assert not told(said={"delivery.failed": 1}).holds


def test_a_leak_is_a_failure() -> None:
    assert not told(leaks=["a message has no entries"]).holds


def test_the_fullest_window_is_closed() -> None:
    assert crowded([], 10) == 0
    assert crowded([0, 5, 10, 21], 10) == 3
    assert crowded([0, 11, 20, 21], 10) == 3
