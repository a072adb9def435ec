import dns.rrset
import pytest

from relay.config.settings import Settings
from relay.domains.records import DkimKey, SendingDomain, WantedRecord, records, remarks, sending_domain
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key, zone_line

RECORD = dns_record(load_key(generate_key("rsa-sha256"), "acme.test", "s1"))

IMAP = {"host": "127.0.0.1", "port": 9, "tls": "none", "username": "b", "password": "b"}

PLAIN = SendingDomain(
    name="acme.test",
    hostname="relay.test",
    selectors=("s1", "s2"),
    keys=(DkimKey("s1", RECORD), DkimKey("s2", "v=DKIM1; k=rsa; p=BBBB")),
    return_path="bounces.acme.test",
    reply_domain="reply.acme.test",
    tracking_host="t.acme.test",
    spf_terms=("a:relay.test",),
)


def changed(**values: object) -> SendingDomain:
    fields = {name: getattr(PLAIN, name) for name in SendingDomain.__dataclass_fields__}
    return SendingDomain(**{**fields, **values})


def lines(domain: SendingDomain) -> list[tuple[str, str, str, str]]:
    return [(one.publisher, one.name, one.kind, one.value) for one in records(domain)]


def test_plain_records_stand_in_the_zone_of_the_domain() -> None:
    assert lines(PLAIN) == [
        ("domain", "s1._domainkey.acme.test", "TXT", RECORD),
        ("domain", "s2._domainkey.acme.test", "TXT", "v=DKIM1; k=rsa; p=BBBB"),
        ("domain", "bounces.acme.test", "MX", "10 relay.test"),
        ("domain", "bounces.acme.test", "TXT", "v=spf1 a:relay.test ~all"),
        ("domain", "_dmarc.acme.test", "TXT", "v=DMARC1; p=none"),
        ("domain", "t.acme.test", "CNAME", "relay.test"),
        ("domain", "reply.acme.test", "MX", "10 relay.test"),
    ]
    assert list(remarks(PLAIN)) == []


def test_three_aliases_when_the_operator_serves_their_targets() -> None:
    assert lines(changed(cname_target="mail.operator.test")) == [
        ("domain", "s1._domainkey.acme.test", "CNAME", "s1._domainkey.acme.test.mail.operator.test"),
        ("domain", "s2._domainkey.acme.test", "CNAME", "s2._domainkey.acme.test.mail.operator.test"),
        ("domain", "bounces.acme.test", "CNAME", "bounces.acme.test.mail.operator.test"),
        ("domain", "_dmarc.acme.test", "TXT", "v=DMARC1; p=none"),
        ("domain", "t.acme.test", "CNAME", "relay.test"),
        ("domain", "reply.acme.test", "MX", "10 relay.test"),
        ("operator", "s1._domainkey.acme.test.mail.operator.test", "TXT", RECORD),
        ("operator", "s2._domainkey.acme.test.mail.operator.test", "TXT", "v=DKIM1; k=rsa; p=BBBB"),
        ("operator", "bounces.acme.test.mail.operator.test", "MX", "10 relay.test"),
        ("operator", "bounces.acme.test.mail.operator.test", "TXT", "v=spf1 a:relay.test ~all"),
    ]


def test_an_alias_can_be_published_before_its_key_is_made() -> None:
    wanted = lines(changed(keys=(), cname_target="mail.operator.test"))
    assert [kind for _, name, kind, _ in wanted if "_domainkey" in name] == ["CNAME", "CNAME"]


def test_a_name_shared_by_return_path_and_replies_has_one_mx() -> None:
    wanted = lines(changed(reply_domain="bounces.acme.test"))
    assert [(name, kind) for _, name, kind, _ in wanted if kind == "MX"] == [("bounces.acme.test", "MX")]


def test_a_foreign_return_path_is_the_operators_business() -> None:
    wanted = lines(changed(return_path="bounces.operator.test", cname_target="mail.operator.test"))
    assert ("operator", "bounces.operator.test", "MX", "10 relay.test") in wanted


def test_without_a_return_path_the_domain_itself_has_the_spf_record() -> None:
    domain = changed(return_path="")
    assert ("domain", "acme.test", "TXT", "v=spf1 a:relay.test ~all") in lines(domain)
    assert [role for role, _ in remarks(domain)] == ["return path"]


def test_without_a_return_path_the_domain_of_the_bounce_mailbox_has_the_spf_record() -> None:
    for name, publisher in (("acme.test", "domain"), ("mail.acme.test", "domain"), ("operator.test", "operator")):
        domain = changed(return_path="", bounce_domain=name)
        assert [line for line in lines(domain) if "spf1" in line[3]] == [
            (publisher, name, "TXT", "v=spf1 a:relay.test ~all")
        ]
        assert [role for role, _ in remarks(domain)] == []


@pytest.mark.parametrize("line", [one.zone_line for one in records(PLAIN)])
def test_zone_lines_are_read_by_dnspython_as_they_were_meant(line: str) -> None:
    name, _, kind, value = line.split(" ", 3)
    rrset = dns.rrset.from_text(name, 300, "IN", kind, value)
    wanted = next(one for one in records(PLAIN) if one.zone_line == line)
    (data,) = rrset
    told = b"".join(data.strings).decode() if kind == "TXT" else data.to_text().rstrip(".")
    assert (told, rrset.name.to_text(omit_final_dot=True)) == (wanted.value, wanted.name)


def test_zone_lines_are_those_of_the_key_command() -> None:
    wanted = WantedRecord("x.test", "TXT", 'say "\\"' + "a" * 300, "dkim", "")
    assert wanted.zone_line == zone_line("x.test", wanted.value)


@pytest.mark.parametrize(
    ("values", "role", "advice"),
    [
        ({"selectors": (), "keys": ()}, "dkim", "relay dkim new acme.test --selector s1"),
        ({"keys": ()}, "dkim", "relay dkim new acme.test --selector s1"),
        ({"selectors": ("s1",), "keys": (DkimKey("s1", RECORD),)}, "dkim", "second one"),
        ({"return_path": "acme.test"}, "return path", "takes all its mail"),
        ({"reply_domain": "acme.test"}, "replies", "takes all its mail"),
        ({"tracking_host": ""}, "tracking", "base_url"),
        ({"tracking_host": "127.0.0.1"}, "tracking", "no reader can reach 127.0.0.1"),
        ({"tracking_host": "localhost"}, "tracking", "no reader can reach localhost"),
        ({"tracking_host": "acme.test"}, "tracking", "cannot be an alias"),
        ({"tracking_host": "bounces.acme.test"}, "tracking", "a name of its own"),
        ({"unknown_providers": ("bulk",)}, "spf", 'provider "bulk"'),
    ],
)
def test_doubtful_settings_are_remarked_on(values: dict[str, object], role: str, advice: str) -> None:
    ((found, text),) = remarks(changed(**values))
    assert found == role
    assert advice in text


def test_the_settings_say_all_this() -> None:
    settings = Settings.model_validate(
        {
            "server": {"hostname": "relay.test"},
            "provider": [
                {"name": "bulk", "host": "smtp.bulk.test", "spf": "include:spf.bulk.test  ip4:192.0.2.0/28"},
                {"name": "other", "host": "smtp.other.test"},
            ],
            "domains": {
                "acme.test": {
                    "provider": "bulk",
                    "fallback_providers": ["direct", "other"],
                    "tracking": {"base_url": "https://t.acme.test:8443/x"},
                    "dkim": {"selectors": ["s1", "s2"]},
                    "return_path": "bounces.acme.test",
                    "reply_domain": "reply.acme.test",
                }
            },
        }
    )
    domain = sending_domain(settings, "acme.test", PLAIN.keys)
    terms = ("include:spf.bulk.test", "ip4:192.0.2.0/28", "a:relay.test")
    assert domain == changed(spf_terms=terms, unknown_providers=("other",))
    assert domain.spf == "v=spf1 include:spf.bulk.test ip4:192.0.2.0/28 a:relay.test ~all"


def test_the_provider_of_campaign_mail_is_in_the_spf_record() -> None:
    settings = Settings.model_validate(
        {
            "server": {"hostname": "relay.test"},
            "provider": [
                {"name": "bulk", "host": "smtp.bulk.test", "spf": "include:spf.bulk.test"},
                {"name": "other", "host": "smtp.other.test"},
            ],
            "defaults": {"campaign_provider": "bulk", "campaign_fallback_providers": ["other"]},
        }
    )
    domain = sending_domain(settings, "acme.test", ())
    assert domain.spf == "v=spf1 a:relay.test include:spf.bulk.test ~all"
    assert domain.unknown_providers == ("other",)


@pytest.mark.parametrize(
    ("more", "where", "value"),
    [
        ({}, "bounces.acme.test", "v=spf1 include:spf.bulk.test a:relay.test ~all"),
        ({"bounces": {"imap": IMAP}}, "reply.acme.test", "v=spf1 a:relay.test ~all"),
        ({"bounces": {"imap": IMAP}}, "bounces.acme.test", "v=spf1 include:spf.bulk.test ~all"),
    ],
)
def test_the_hosts_that_forward_answers_may_use_the_domain_they_forward_with(
    more: dict[str, object], where: str, value: str
) -> None:
    settings = Settings.model_validate(
        {
            "server": {"hostname": "relay.test"},
            "listener": [{"name": "mx", "kind": "inbound", "address": "127.0.0.1:2526"}],
            "provider": [{"name": "bulk", "host": "smtp.bulk.test", "spf": "include:spf.bulk.test"}],
            "domains": {
                "acme.test": {
                    "provider": "bulk",
                    "return_path": "bounces.acme.test",
                    "reply_domain": "reply.acme.test",
                }
            },
            **more,
        }
    )
    assert ("domain", where, "TXT", value) in lines(sending_domain(settings, "acme.test", ()))
