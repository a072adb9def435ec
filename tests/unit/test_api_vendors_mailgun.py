"""The forms of Mailgun, translated: each fault is named, and no value raises anything but the refusal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.api.outgoing_message import OutgoingMessage
from relay.api.vendors import mailgun_messages
from relay.api.vendors.form_data import Form, parse_form
from relay.api.vendors.forms import FormError
from relay.api.vendors.mailgun_domains import are_related
from relay.api.vendors.mailgun_events import Query, parse_query, parse_token
from relay.events.event import Kind
from relay.mail.instructions import Tag
from tests.unit.vendor_forms import CONTEXT, JSON, options, said

MAIL = {"from": ["News <news@acme.test>"], "to": ["ada@reader.test"], "text": ["Hi"]}


class TestMailgun:
    def test_options_mean_what_their_header_fields_mean(self) -> None:
        values = {
            "o:tracking": ["no"],
            "o:tracking-clicks": ["htmlonly"],
            "o:testmode": ["yes"],
            "o:require-tls": ["true"],
            "o:dkim": ["no"],
            "o:deliverytime": ["Fri, 15 Jan 2027 08:00:00 GMT"],
            "o:sending-ip-pool": ["tx"],
            "o:tag": ["a", "b"],
        }
        found = mailgun_messages.translate(Form({**MAIL, **values}), CONTEXT)
        assert options(found.instructions) == {
            "clicks": "html",
            "opens": False,
            "sandbox": True,
            "require_tls": True,
            "sign": False,
            "send_at": 1_800_000_000.0,
            "pool": "tx",
        }
        assert [one.content.text for one in found.instructions if isinstance(one.content, Tag)] == ["a", "b"]
        assert {one.field for one in found.instructions} <= values.keys()

    def test_variables_of_any_name_and_type_are_texts(self) -> None:
        own = {"v:order": 7, "h:X-Foo": "x", "name": "Ada", "list": [1], "none": None}
        values = {"recipient-variables": [json.dumps({"ADA@reader.test": own})], "to": ["Ada L <ada@reader.test>"]}
        found = mailgun_messages.translate(Form({**MAIL, **values}), CONTEXT)
        texts = found.message.substitutions["ada@reader.test"]
        assert texts["%recipient.v:order%"] == "7"
        assert texts["%recipient.list%"] == "[1]"
        assert texts["%recipient.none%"] == "null"
        assert (texts["%recipient%"], texts["%recipient_name%"]) == ("ada@reader.test", "Ada L")
        assert (texts["%recipient_fname%"], texts["%recipient_lname%"]) == ("Ada", "L")

    def test_without_variables_there_is_one_message(self) -> None:
        assert not mailgun_messages.translate(Form(MAIL), CONTEXT).message.substitutions
        empty = mailgun_messages.translate(Form({**MAIL, "recipient-variables": ["{}"]}), CONTEXT)
        assert list(empty.message.substitutions) == ["ada@reader.test"]

    @pytest.mark.parametrize(
        ("given_value", "kept"),
        [
            ("<https://a.test/>, <%tag_unsubscribe_email%>", "<https://a.test/>"),
            ("<mailto:%unsubscribe_email%>", None),
            ("<%unsubscribe_url%>,<mailto:leave@acme.test>", "<mailto:leave@acme.test>"),
            ("<mailto:leave@acme.test>", "<mailto:leave@acme.test>"),
        ],
    )
    def test_unsubscribe_addresses_of_the_service_leave_no_relay(self, given_value: str, kept: str | None) -> None:
        found = mailgun_messages.translate(Form({**MAIL, "h:List-Unsubscribe": [given_value]}), CONTEXT)
        assert found.message.headers.get("List-Unsubscribe") == kept

    def test_unknown_keys_and_fields_made_of_others_are_ignored_with_their_names(self) -> None:
        values = {"amp-html": ["x"], "o:new": ["x"], "colour": ["red"], "h:To": ["x@else.test"]}
        found = mailgun_messages.translate(Form({**MAIL, **values}), CONTEXT)
        assert said(found.instructions) == [
            "h:To: made of the other keys",
            "amp-html: not done",
            "o:new: not done",
            "colour: unknown key",
        ]

    def test_a_form_is_read_in_both_encodings(self) -> None:
        form = parse_form("application/x-www-form-urlencoded", b"to=a%40b.test&to=c&text=%C3%A9+x&empty=")
        assert form.values == {"to": ["a@b.test", "c"], "text": ["é x"], "empty": [""]}
        octets = b"\x00\r\n\xff--y\r\n"
        body = b'--y\r\nContent-Disposition: form-data; name="f"; filename="a b"\r\n\r\n' + octets + b"\r\n--y--\r\n"
        assert parse_form("multipart/form-data; boundary=y", body).files[0].content == octets

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("text/plain", b""),
            ("multipart/form-data", b"x"),
            ("multipart/form-data; boundary=y", b"no boundary"),
            (
                "multipart/form-data; boundary=y",
                b'--y\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--y--',
            ),
            ("application/x-www-form-urlencoded", b"a=%ff"),
            ("application/x-www-form-urlencoded", b"a=1&" * 6000),
        ],
    )
    def test_another_body_is_refused(self, kind: str, body: bytes) -> None:
        with pytest.raises(FormError):
            parse_form(kind, body)


class TestMailgunEvents:
    def test_the_query_of_ghost(self) -> None:
        found = parse_query(
            {
                "limit": "300",
                "event": "delivered OR opened OR failed OR unsubscribed OR complained",
                "tags": "bulk-email AND ghost-email",
                "begin": "1796029200.123",
                "end": "1796029300.5",
                "ascending": "yes",
            }
        )
        assert (found.limit, found.begin, found.end) == (300, 1796029200.123, 1796029300.5)
        assert found.tags == ("bulk-email", "ghost-email")
        assert set(found.kinds) >= {Kind.DELIVERED.value, Kind.OPEN.value, Kind.BOUNCED.value, Kind.DEFERRED.value}
        assert parse_token(found.token) == found
        assert not set(found.token) & set("/?#&=+")

    @pytest.mark.parametrize(
        "given_query",
        [
            {"limit": "0"},
            {"limit": "301"},
            {"limit": "x"},
            {"event": "sent"},
            {"begin": "soon"},
            {"ascending": "maybe"},
            {"severity": "odd"},
        ],
    )
    def test_a_wrong_parameter_is_named(self, given_query: dict[str, str]) -> None:
        with pytest.raises(FormError, match=next(iter(given_query))):
            parse_query(given_query)

    @given(st.text(max_size=60) | st.binary(max_size=60).map(lambda octets: Query(after="0-1").token + octets.hex()))
    def test_no_token_raises_anything_but_the_refusal(self, token: str) -> None:
        try:
            found = parse_token(token)
        except FormError:
            return
        assert 1 <= found.limit <= 300

    def test_domains_are_related_by_labels(self) -> None:
        assert are_related("mg.acme.test", "acme.test")
        assert are_related("acme.test", "mg.acme.test")
        assert not are_related("notacme.test", "acme.test")


@given(
    st.dictionaries(
        st.sampled_from(["from", "to", "cc", "recipient-variables", "h:X-A", "v:a", "o:tag", "o:deliverytime"]),
        st.lists(st.text(max_size=20) | JSON.map(json.dumps), min_size=1, max_size=2),
    )
)
def test_no_form_for_mailgun_raises_anything_but_the_refusal(changed: dict[str, list[str]]) -> None:
    try:
        found = mailgun_messages.translate(Form(MAIL | changed), CONTEXT)
    except FormError:
        return
    assert isinstance(found.message, OutgoingMessage)
