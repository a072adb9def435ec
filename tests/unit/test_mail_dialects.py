"""Vendor header fields: each field is read, ignored with a reason, or refused; together they follow one precedence."""

import json
from base64 import encodebytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.compat import ALL_DIALECTS
from relay.mail.dialects import table
from relay.mail.dialects.table import DIALECTS, DialectRules, dialect_of, read_instructions
from relay.mail.headers import fields, without
from relay.mail.instructions import InstructionError, Instructions
from tests.unit.dialect_parts import CONTEXT, ignored, read, smtpapi


class TestPrecedence:
    def test_fields_of_relay_come_first(self) -> None:
        found = read("X-PM-TrackOpens: true", "X-Relay-Track: none", "X-PM-TrackLinks: HtmlOnly")
        assert (found.opens, found.clicks) == (False, "off")
        assert ignored(found) == [
            "X-PM-TrackOpens: x-relay-track says no and comes first",
            "X-PM-TrackLinks: x-relay-track says off and comes first",
        ]

    def test_the_order_of_the_configuration_decides(self) -> None:
        lines = ("X-Mailgun-Track-Opens: yes", "X-PM-TrackOpens: false")
        assert read(*lines).opens is True
        assert read(*lines, rules=DialectRules(("postmark", "mailgun"))).opens is False

    def test_a_dialect_that_is_not_read_says_nothing_and_stays(self) -> None:
        found = read("X-PM-Tag: a", "X-Mailgun-Tag: b", rules=DialectRules(("mailgun",)))
        assert (found.tags, found.dialects) == (("b",), ("mailgun",))

    def test_equal_metadata_is_one_and_other_metadata_is_ignored(self) -> None:
        found = read('X-Mailgun-Variables: {"invoice": "1", "a": "b"}', "X-PM-Metadata-invoice: 2", "X-Metadata-a: b")
        assert found.metadata == {"a": "b", "invoice": "1"}
        assert ignored(found) == ["X-PM-Metadata-invoice: X-Mailgun-Variables says 1 and comes first"]

    def test_fields_of_the_application_become_metadata_in_the_configured_spelling(self) -> None:
        rules = DialectRules(metadata_fields={b"x-listmonk-campaign": "X-Listmonk-Campaign"})
        found = read("x-listmonk-campaign: 7", rules=rules)
        assert (found.metadata, found.dialects) == ({"X-Listmonk-Campaign": "7"}, ())


class TestRefusals:
    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ("X-SMTPAPI: {", "X-SMTPAPI: not JSON: Expecting property name enclosed in double quotes at character 2"),
            ("X-SMTPAPI: []", "X-SMTPAPI: a JSON object is expected"),
            ('X-SMTPAPI: {"send_at": NaN}', "X-SMTPAPI: not JSON: NaN is no number"),
            ("X-SMTPAPI: " + "[" * 60_000, "X-SMTPAPI: not JSON: nested too deeply"),
            ("X-MSYS-API: 7", "X-MSYS-API: a JSON object is expected"),
            ('X-SMTPAPI: {"sub": {"%name%": ["Ada"]}}', 'X-SMTPAPI: "sub": relay does not fill in templates'),
            ('X-SMTPAPI: {"section": {":a": "b"}}', 'X-SMTPAPI: "section": relay does not fill in templates'),
            (
                'X-SMTPAPI: {"filters": {"templates": {"settings": {"enable": 1, "template_id": "x"}}}}',
                'X-SMTPAPI: "filters.templates": relay does not fill in templates',
            ),
            ("X-Mailgun-Template-Version: v2", "X-Mailgun-Template-Version: relay does not fill in templates"),
            ("X-MC-MergeVars: {}", "X-MC-MergeVars: relay does not fill in templates"),
            ("X-MJ-TemplateLanguage: True", "X-MJ-TemplateLanguage: relay does not fill in templates"),
            ('X-MSYS-API: {"cc": ["bob@reader.test"]}', 'X-MSYS-API: "cc" names a recipient that RCPT TO does not'),
            ('X-SMTPAPI: {"to": []}', 'X-SMTPAPI: "to" names other recipients than RCPT TO'),
            ("X-MT-Category: " + "x" * 501, "X-MT-Category: the value is longer than 500 characters"),
            ('X-Mailgun-Variables: {"a": "\\u0000"}', "X-Mailgun-Variables: the value has a character that is no text"),
            ('X-Mailgun-Variables: {"\\ud800": "a"}', "X-Mailgun-Variables: the value has a character that is no text"),
            ("X-Metadata: " + json.dumps({str(n): "x" for n in range(51)}), "the message has 51 metadata keys"),
        ],
    )
    def test_a_value_that_must_not_be_ignored_is_refused_with_the_reason(self, line: str, why: str) -> None:
        with pytest.raises(InstructionError) as caught:
            read(line)
        assert str(caught.value).startswith(why)

    @pytest.mark.parametrize("lead", range(4))
    def test_recipient_variables_are_found_in_base64_too(self, lead: int) -> None:
        text = encodebytes(b"x" * lead + b"Hello %recipient.name%, " + b"y" * 100).decode().replace("\n", "\r\n")
        line = 'X-Mailgun-Recipient-Variables: {"ada@reader.test": {"name": "Ada"}}'
        with pytest.raises(InstructionError, match="relay does not fill in templates"):
            read(line, body=text)
        assert ignored(read(line)) == ["X-Mailgun-Recipient-Variables: the body uses none"]


class TestSendGrid:
    def test_the_envelope_may_be_repeated_in_any_spelling(self) -> None:
        assert smtpapi({"to": ["Ada <ADA@Reader.test>"]}) == read("X-SMTPAPI: {}")

    def test_subscription_tracking_makes_it_campaign_mail(self) -> None:
        enabled = {"subscriptiontrack": {"settings": {"enable": 1, "replace": "[leave]"}}}
        found = smtpapi({"filters": enabled})
        assert (found.campaign, found.unsubscribe_text) == ("sendgrid", "[leave]")
        found = smtpapi({"asm_group_id": 1, "filters": enabled})
        assert (found.campaign, ignored(found)) == ("newsletter", [])

    @pytest.mark.parametrize(("value", "clicks"), [(0, "off"), (1, "all"), ("0", "off"), ("1", "all"), (True, "all")])
    def test_a_switch_is_a_number_or_its_text(self, value: object, clicks: str) -> None:
        assert smtpapi({"filters": {"clicktrack": {"settings": {"enable": value}}}}).clicks == clicks

    @pytest.mark.parametrize("value", [{}, {"enable": 2}, {"enable": "yes"}, {"enable": None}, {"enable": []}])
    def test_another_value_of_a_switch_is_ignored(self, value: object) -> None:
        found = smtpapi({"filters": {"clicktrack": {"settings": value}, "opentrack": {"settings": value}}})
        assert (found.opens, found.clicks) == (None, None)
        assert ignored(found) == [
            "X-SMTPAPI filters.clicktrack: enable is not 0 or 1",
            "X-SMTPAPI filters.opentrack: enable is not 0 or 1",
        ]

    def test_a_blank_text_is_not_replaced(self) -> None:
        found = smtpapi({"filters": {"opentrack": {"settings": {"enable": 1, "replace": " "}}}})
        assert (found.pixel_text, ignored(found)) == ("", ["X-SMTPAPI filters.opentrack.replace: not text"])

    def test_unknown_keys_and_filters_are_ignored_with_their_names(self) -> None:
        found = smtpapi({"colour": "red", "filters": {"x": {"settings": {}}, "y": 1}})
        assert sorted(ignored(found)) == [
            "X-SMTPAPI colour: unknown key",
            "X-SMTPAPI filters.x: unknown filter",
            'X-SMTPAPI filters.y: not an object with "settings"',
        ]


class TestMailgun:
    def test_an_address_of_the_vendor_is_ignored_and_a_pool_that_is_configured_is_followed(self) -> None:
        found = read("X-Mailgun-Sending-Ip: 192.0.2.7", "X-Mailgun-Sending-Ip-Pool: marketing")
        assert found.pool == "marketing"
        assert ignored(found) == ["X-Mailgun-Sending-Ip: not an address of this relay"]
        assert found.dialects == ("mailgun",)

    def test_an_expiry_counts_from_now_without_a_time_of_delivery(self) -> None:
        assert read("X-Mailgun-Deliver-Within: 30m").expires_at == CONTEXT.now + 1800

    @pytest.mark.parametrize("value", ["4m", "25h", "h", "", "1h30", "1d", "-5m", "٣h"])
    def test_a_span_outside_of_the_bounds_is_ignored(self, value: str) -> None:
        found = read(f"X-Mailgun-Deliver-Within: {value}")
        assert (found.expires_at, len(found.ignored)) == (None, 1)

    def test_the_narrower_switch_applies_in_either_order(self) -> None:
        for lines in (("X-Mailgun-Track: no", "X-Mailgun-Track-Clicks: yes"), ("X-Mailgun-Track-Clicks: yes",)):
            assert read(*lines, *lines[:1]).clicks == "all"
        assert read("X-Mailgun-Track: no", "X-Mailgun-Track-Clicks: maybe").clicks == "off"


def test_names_of_metadata_at_the_end_of_field_names_are_in_lower_case() -> None:
    assert read("X-Metadata-Invoice-No: 1", "X-PM-METADATA-Client: 2").metadata == {"invoice-no": "1", "client": "2"}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "X-Metadata-",
            "X-PM-Metadata-",
            "X-SMTPAPI-Version",
            "X-MAILGUN-New-Thing",
            "X-Mailgun-Sid",
            "X-PM-Message-Id",
        ),
        *(
            "X-MSYS-Data",
            "X-MC-User",
            "X-SES-Outgoing",
            "X-MJ-Mid",
            "X-Mailjet-Segmentation",
            "X-MT-New",
            "X-Postal-MsgID",
        ),
    ],
)
def test_a_field_of_a_service_that_is_no_instruction_stays(name: str) -> None:
    """Their servers add such fields to mail on its way, which may be sent again."""
    assert dialect_of(name.lower().encode()) == ""
    assert read(f"{name}: customer 7") == Instructions()


@pytest.mark.parametrize("name", ["X-MailgunTag", "X-PMTag", "X-Metadata2", "X-MCA", "X-Mailer", "Tag", "MSYS-API"])
def test_a_field_with_a_similar_name_belongs_to_no_service(name: str) -> None:
    assert read(f"{name}: x") == Instructions()
    assert dialect_of(name.lower().encode()) == ""


FIELD_NAMES = (
    *("X-SMTPAPI", "X-MSYS-API", "X-Tag", "X-Metadata", "X-Metadata-a", "X-Mailgun-Track", "X-Mailgun-Tag"),
    *("X-Mailgun-Variables", "X-Mailgun-Deliver-By", "X-Mailgun-Deliver-Within", "X-PM-TrackLinks", "X-PM-Metadata-b"),
    *("X-MC-Track", "X-MC-Metadata", "X-MC-SendAt", "X-SES-MESSAGE-TAGS", "X-SES-LIST-MANAGEMENT-OPTIONS", "X-AMP"),
    *("X-MT-Custom-Variables", "X-MJ-EventPayload", "X-Mailjet-TrackOpen", "X-Mailgun-Recipient-Variables"),
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)

KEYS = st.sampled_from(("to", "sub", "category", "unique_args", "send_at", "asm_group_id", "filters", "options", "bcc"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(FIELD_NAMES),
            st.text(max_size=40) | JSON.map(json.dumps) | st.dictionaries(KEYS, JSON, max_size=4).map(json.dumps),
        ),
        max_size=4,
    )
)
def test_no_value_raises_anything_but_the_refusal(given_fields: list[tuple[str, str]]) -> None:
    lines = [f"{name}: {' '.join(value.split())}".encode("utf-8", "surrogatepass") for name, value in given_fields]
    content = b"".join(line + b"\r\n" for line in (b"Subject: x", *lines, b"", b"body"))
    found = fields(content)
    try:
        read = read_instructions(content, found, DialectRules(), CONTEXT)
    except InstructionError:
        return
    assert set(read.dialects) == {dialect_of(one.name) for one in found} - {""}
    kept = without(content, [one for one in found if dialect_of(one.name)])
    assert kept == b"Subject: x\r\n\r\nbody\r\n"


def test_every_dialect_of_the_configuration_is_read() -> None:
    assert ALL_DIALECTS == DIALECTS


def test_no_usual_field_is_read() -> None:
    assert not any(map(table._is_read, table._USUAL))
