"""What the sink does at a moment: what was asked for a recipient comes before what was asked for any."""

from tests.servers.sink import Say, Sink

GONE, FULL, BUSY = Say("550 5.1.1 no such user"), Say("452 4.2.2 full"), Say("450 4.2.1 busy")


def test_an_action_for_a_recipient_waits_for_it_while_others_pass() -> None:
    sink = Sink()
    sink.once("RCPT u@rcpt.test", GONE)
    assert sink.action("RCPT news@acme.test") is None, "a bounce message of the mail before uses nothing up"
    assert sink.action("RCPT u@rcpt.test") is GONE
    assert sink.action("RCPT u@rcpt.test") is None


def test_actions_for_a_recipient_come_before_those_for_any() -> None:
    sink = Sink()
    sink.always("RCPT", BUSY)
    sink.always("RCPT full@rcpt.test", FULL)
    sink.once("RCPT", GONE)
    moments = ("RCPT full@rcpt.test", "RCPT u@rcpt.test", "RCPT u@rcpt.test", "MAIL")
    assert [sink.action(moment) for moment in moments] == [FULL, GONE, BUSY, None]
