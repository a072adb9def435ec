"""Rules, what they decide, and the faults they can have."""

import time
from importlib import resources
from pathlib import Path

import pytest

from relay.dsn.bounce_rules import Rule, Rules, RulesError, load_rules
from relay.dsn.categories import BY_OPERATOR, CATEGORIES
from relay.dsn.classify import classify, classify_recipient
from relay.dsn.reply_parts import phase_of
from relay.dsn.report import Recipient, Report

TEXT = resources.files("relay.dsn").joinpath("bounce_rules.toml").read_text("utf-8")

RULES = load_rules(TEXT)


def category(text: str, phase: str = "") -> str:
    return classify(RULES, text, phase=phase).category


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.name)
def test_each_rule_decides_its_example(rule: Rule) -> None:
    phase = phase_of(rule.example) or next(iter(rule.phase), "")
    found = classify(RULES, rule.example, phase=phase)
    assert (found.rule, found.category) == (rule.name, rule.category)


def test_every_category_of_replies_but_unknown_has_a_rule() -> None:
    assert {rule.category for rule in RULES.rules} == set(CATEGORIES) - {"unknown", BY_OPERATOR}


def test_the_rules_in_conf_are_the_shipped_ones() -> None:
    assert (Path(__file__).parents[2] / "conf" / "bounce_rules.toml").read_text("utf-8") == TEXT


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("550 5.7.1 <a@b.example>: Recipient address rejected: User unknown", "bad_mailbox"),
        ("550 5.1.1 <a@b.example> has sent too many messages this hour", "rate_limited"),
        ("550 5.1.1 mailbox is over quota", "mailbox_full"),
        ("552 5.2.2 Daily sending quota exceeded", "rate_limited"),
        ("554 5.7.1 <spam@b.example>: User unknown", "bad_mailbox"),
        ("550 the mailbox full@b.example does not exist", "bad_mailbox"),
        ("550 No such user here", "bad_mailbox"),
        ("550 Der Empfänger ist unbekannt", "bad_mailbox"),
        ("550 Le destinataire est inconnu", "bad_mailbox"),
        ("550 El buzón está lleno", "mailbox_full"),
        ("550 宛先が存在しません", "bad_mailbox"),
    ],
)
def test_the_words_decide_over_the_codes(text: str, meant: str) -> None:
    assert category(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "550 the sender mailbox does not exist",
        "550 5.7.1 Envelope sender does not exist; user unknown",
        "550 5.1.1 Your return address is not a valid mailbox",
        "550 5.1.1 Return address cannot be verified, user unknown",
        "550 5.1.1 Return-Path <news@acme.test> does not exist",
        "550 5.1.1 Reverse-path verification failed: user unknown",
        "550 5.1.1 Bounce address news@acme.test: user unknown",
        "550 5.1.1 Reply address does not exist",
        "550 5.1.1 We could not verify your mailbox: user unknown",
        "550 5.1.1 The address you send from does not exist",
        "554 5.7.1 Reply-To mailbox does not exist",
        "550 5.7.1 The mailbox you gave in the Reply-To field is unknown",
        "550 5.7.1 We can't verify that the author exists",
        "550 bounce address invalid: mailbox unavailable",
        "550 5.1.1 SRS address unknown: no such user",
        "550 5.7.1 no valid user behind the sending address",
        "550 rejected: no such user at sender's host",
        "550 we do not know the sender of this mail",
        "550 invalid signer: user not found",
        "550 the account you use to send is inactive",
        "550 5.2.1 Your mailbox is disabled for sending messages",
        "552 5.2.2 sender's mailbox is over quota",
        "550 5.7.1 Recipient rejected because the sender's domain does not exist",
        "550 L'adresse d'expédition n'existe pas",
    ],
)
def test_what_is_said_of_our_side_is_not_about_the_recipient(text: str) -> None:
    assert category(text, "rcpt") == "sender_rejected"


@pytest.mark.parametrize(
    "text",
    [
        "550 client host unknown",
        "550 Your mail server's domain does not exist",
        "554 5.7.1 The domain acme.test does not exist in our allow list",
        "550 key not found for d=acme.test",
        "550 No MX for sending host",
        "550 attachment name not found",
        "550 5.7.1 You are not a known user of this list",
        "550 Policy: user unknown to the list (members only)",
    ],
)
def test_what_is_said_of_hosts_keys_lists_and_attachments_suppresses_nobody_at_once(text: str) -> None:
    assert CATEGORIES[category(text, "rcpt")].suppression in ("never", "count")


@pytest.mark.parametrize(
    ("text", "phase", "meant"),
    [
        ("550 no", "rcpt", "recipient_refused"),
        ("550 no", "mail", "sender_rejected"),
        ("550 5.7.1 No such domain", "mail", "sender_rejected"),
        ("550 5.7.1 No such domain", "rcpt", "bad_domain"),
        ("550 5.2.2 no", "rcpt", "mailbox_full"),
        ("550 no", "", "unknown"),
        ("250 2.0.0 fine", "", "unknown"),
        ("", "", "unknown"),
    ],
)
def test_phase_and_codes_decide_where_the_words_say_nothing(text: str, phase: str, meant: str) -> None:
    assert category(text, phase) == meant


def test_code_and_status_come_from_the_text_unless_given() -> None:
    assert classify(RULES, "sorry", 552).category == "mailbox_full"
    assert classify(RULES, "sorry", None, "5.1.2").category == "bad_domain"
    assert classify(RULES, "552 5.1.2 sorry").category == "bad_domain"


def test_a_program_of_the_receiving_server_that_reached_nothing_is_its_fault() -> None:
    text = "temporary failure. Command output: scanner: unable to connect to its daemon: Connection refused"
    assert category(text) == "server_error"


def test_a_reply_over_several_lines_is_one() -> None:
    text = "550-5.7.26 This mail is not accepted because the\n550-5.7.26 domain's DMARC\n550 5.7.26 policy says so"
    assert category(text) == "auth_failed"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("450 4.2.0 Greylisted, try again in 300 seconds", 300),
        ("451 please retry after 5 minutes", 300),
        ("451 4.7.1 Greylisting in action, please come back in 00:04:59", 299),
        ("421 wait 2 hours before the next attempt", 7200),
        ("421 try again in 90 days", 7 * 86400),
        ("450 try again later", None),
        ("550 5.1.1 user unknown after 3 seconds of search", None),
    ],
)
def test_delays_in_a_reply_are_found(text: str, seconds: float | None) -> None:
    assert classify(RULES, text).wait == seconds


def test_a_classification_says_what_follows() -> None:
    about = classify(RULES, "550 5.1.1 user unknown").about
    assert (about.on_temporary, about.on_permanent, about.suppression, about.lane) == ("retry", "bounce", "now", "none")
    assert about.guidance


def test_a_vague_diagnostic_gives_way_to_the_words_of_the_report() -> None:
    recipient = Recipient("a@b.example", "failed", "5.0.0", 550, "550 failure of delivery")
    assert classify_recipient(RULES, Report("bounce", (recipient,)), recipient).category == "unknown"
    report = Report("bounce", (recipient,), text="We looked for the mailbox, but the mailbox is full.")
    assert classify_recipient(RULES, report, recipient).category == "mailbox_full"


def test_classification_takes_well_under_a_millisecond() -> None:
    replies = [rule.example for rule in RULES.rules] * 5
    started = time.process_time()
    for reply in replies:
        classify(RULES, reply)
    assert (time.process_time() - started) / len(replies) < 0.002, "a loose bound: it takes 0.25 ms on a slow machine"


RULE = '[[rule]]\nname = "a"\ncategory = "policy"\nexample = "x"\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no [[rule]] in the file"),
        ("[[rule", "line 1: not TOML: the name of the table has no ]] behind it"),
        (RULE, "rule a: matches every reply: give it phrases, names, all, a status or a code"),
        (RULE.replace("policy", "polcy") + 'phrases = ["x"]', "rule a: category 'polcy' is unknown"),
        (RULE + 'phrase = ["x"]', "rule a: unknown key 'phrase'"),
        (RULE + 'phrases = "x"', "rule a: phrases must be a list of strings"),
        (RULE + 'phrases = ["X"]', "must be in lower case"),
        (RULE + 'phrases = ["{x"]', "has a brace without its pair"),
        (RULE + 'phrases = ["x}"]', "outside braces"),
        (RULE + 'phrases = ["a .. b .. c .. d"]', "more than 2 gaps"),
        (RULE + 'phrases = ["{a|} b"]', "put the empty alternative last and its space inside the braces"),
        (RULE + 'phrases = ["a-b"]', "has '-', which a reply's normal form has not"),
        (RULE + 'phrases = ["x"]\nphase = ["quit"]', "phase 'quit' is none of"),
        (RULE + 'status = ["5.1"]', "status '5.1' is not of the form"),
        (RULE + 'code = ["5"]', "code '5' is not of the form"),
        (RULE.replace('example = "x"\n', 'phrases = ["x"]\n'), "has no example"),
        ((RULE + 'phrases = ["x"]\n') * 2, "rule a: the name is taken by an earlier rule"),
        ("rule = 1", "rule must be a list of tables"),
    ],
)
def test_faults_in_rules_are_named(text: str, fault: str) -> None:
    with pytest.raises(RulesError) as raised:
        load_rules(text)
    assert fault in str(raised.value)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(RulesError) as raised:
        load_rules(RULE + RULE.replace('"a"', '"b"'))
    assert len(str(raised.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        (
            "550 Callout verification failed: 550 5.1.1 <app@acme.test>: Recipient address rejected: User unknown",
            "rcpt",
        ),
        ("554 5.7.1 Message rejected because the mailbox of the From address does not exist", "data"),
        ("550 5.7.1 The user or domain that you are sending from does not exist", "rcpt"),
        ("550 Mail from unknown user rejected", "rcpt"),
        ("550 Backscatter: From user unknown", "rcpt"),
        ("554 5.7.1 Rejected: unknown mail user agent", "data"),
        ("550 5.1.0 The destination mail system rejected your return address, no such mailbox", "rcpt"),
        ("450 4.1.1 <a@b.example>: Recipient address rejected: unverified address: lost connection", "rcpt"),
        ("554 5.7.1 <a@b.example>: Recipient address rejected: by the house rules of this site", "rcpt"),
        ("550 5.1.1 blocked because of abuse from your network", "rcpt"),
        ("550 Requested action not taken: mailbox unavailable. Reject due to policy restrictions.", "data"),
        ("551 Main account unavailable", "mail"),
        ("550 User unknown", "mail"),
        ("550 Unknown user", "ehlo"),
    ],
)
def test_reasons_about_the_sending_side_are_no_unknown_user(text: str, phase: str) -> None:
    assert category(text, phase) not in ("bad_mailbox", "bad_domain", "mailbox_disabled")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("550 <a@b.example>: Recipient address rejected", "bad_mailbox"),
        ("550 <a@b.example>: Recipient address rejected. (in reply to RCPT TO command)", "bad_mailbox"),
        ("550 <a@b.example>: Recipient address rejected: Blocked", "recipient_refused"),
        ("550 5.1.1 <a@b.example>: Recipient address rejected: see the postmaster's page", "bad_mailbox"),
    ],
)
def test_a_refused_recipient_is_unknown_when_no_other_reason_follows(text: str, meant: str) -> None:
    assert category(text, "rcpt") == meant


def test_a_recipient_named_by_the_words_counts_in_any_phase() -> None:
    assert category("550 5.5.0 Adresse destinataire invalide. Invalid recipient.", "connect") == "bad_mailbox"


def test_words_that_may_lack_their_end_are_not_classified() -> None:
    one = Recipient("a@b.example", "failed", "5.1.1", 550, "550 5.1.1 User unknown")
    assert classify_recipient(RULES, Report("bounce", (one,)), one).category == "bad_mailbox"
    assert classify_recipient(RULES, Report("bounce", (one,), cut=True), one).category == "unknown"


SUPPRESSING_RULES = Rules(tuple(one for one in RULES.rules if one.category in ("bad_mailbox", "bad_domain")))


@pytest.mark.parametrize("status", ["5.1.7", "5.1.8", "5.7.26"])
def test_a_status_about_the_sender_suppresses_nobody_where_a_report_names_recipients(status: str) -> None:
    words = "No such domain. The mail could not be delivered to one or more of its recipients"
    for phase in ("", "mail", "rcpt"):
        assert classify(SUPPRESSING_RULES, f"550 {status} {words}", 550, status, phase).category == "unknown"
    assert classify(SUPPRESSING_RULES, f"550 5.1.2 {words}", 550, "5.1.2", "rcpt").category == "bad_domain"
