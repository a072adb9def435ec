"""The forms of SendGrid and Postmark, translated: each fault is named, and no value raises anything but the refusal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.api.outgoing_message import OutgoingMessage
from relay.api.substitutions import substitute
from relay.api.vendors import postmark, sendgrid
from relay.api.vendors.forms import FormError
from relay.mail.instructions import Metadata
from tests.unit.vendor_forms import CONTEXT, JSON, options, said

SENDGRID: dict[str, Any] = {
    "personalizations": [{"to": [{"email": "ada@reader.test", "name": "Größe, Ada"}]}],
    "from": {"email": "news@acme.test", "name": 'A "B", C'},
    "subject": "Hi",
    "content": [{"type": "text/plain", "value": "Hi -name-"}, {"type": "text/html", "value": "<p>-name-</p>"}],
}


class TestSendGrid:
    def test_settings_mean_what_x_smtpapi_means(self) -> None:
        request = SENDGRID | {
            "asm": {"group_id": 7},
            "ip_pool_name": "tx",
            "categories": ["a"],
            "send_at": 1_800_000_000,
            "tracking_settings": {
                "click_tracking": {"enable": True, "enable_text": False},
                "ganalytics": {"enable": True},
            },
            "mail_settings": {"bypass_list_management": {"enable": True}},
            "batch_id": "x",
        }
        (found,) = sendgrid.translate(request, CONTEXT)
        expected = {"send_at": 1_800_000_000.0, "campaign": "newsletter", "pool": "tx", "clicks": "html"}
        assert options(found.instructions) == expected
        assert said(found.instructions) == [
            "mail/send filters.ganalytics: not done",
            "mail/send filters.bypass_list_management: this login may not",
        ]
        assert found.message.to == ('"Größe, Ada" <ada@reader.test>',)

    def test_each_personalization_is_a_message_with_its_texts(self) -> None:
        own = {"substitutions": {"-name-": "<b>"}, "subject": "for -name-", "custom_args": {"n": "1"}}
        people = [{"to": [{"email": f"p{n}@reader.test"}], **own} for n in range(2)]
        first, second = sendgrid.translate(SENDGRID | {"personalizations": people, "custom_args": {"a": "b"}}, CONTEXT)
        replaced = substitute(first.message, first.texts, 100)
        assert (replaced.text, replaced.html) == ("Hi <b>", "<p>&lt;b&gt;</p>")
        assert (replaced.subject, dict(replaced.metadata)) == ("for <b>", {"a": "b", "n": "1"})
        assert second.message.to == ("p1@reader.test",)

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            ({"personalizations": []}, "personalizations"),
            ({"personalizations": [7]}, "personalizations.0"),
            ({"personalizations": [{"to": [{"email": "x"}]}]}, "personalizations.0.to.0"),
            ({"personalizations": [{"to": "x"}]}, "personalizations.0.to"),
            ({"from": "news@acme.test"}, "from"),
            ({"template_id": "d-1"}, "template_id"),
            ({"content": [{"type": "text/calendar", "value": "x"}]}, "content.0.type"),
            ({"mail_settings": {"sandbox_mode": {"enable": "yes"}}}, "mail_settings.sandbox_mode.enable"),
            ({"custom_args": {"a": {}}}, "custom_args"),
            ({"send_at": "soon"}, "send_at"),
        ],
    )
    def test_the_field_of_a_fault_is_named(self, changed: dict[str, Any], field: str) -> None:
        with pytest.raises(FormError) as caught:
            assert sendgrid.is_sandbox(SENDGRID | changed) or sendgrid.translate(SENDGRID | changed, CONTEXT)
        assert caught.value.field == field


POSTMARK = {"From": "News <news@acme.test>", "To": "ada@reader.test, Bob <bob@reader.test>", "TextBody": "Hi"}


class TestPostmark:
    def test_keys_mean_what_the_header_fields_mean(self) -> None:
        more = {
            "Tag": "t",
            "TrackOpens": False,
            "TrackLinks": "HtmlOnly",
            "MessageStream": "broadcast",
            "InlineCss": True,
        }
        found = postmark.translate({**POSTMARK, **more, "Metadata": {"a": 1}}, CONTEXT)
        assert options(found.instructions) == {"opens": False, "clicks": "html", "campaign": "newsletter"}
        assert found.message.to == ("ada@reader.test", "Bob <bob@reader.test>")
        assert dict(found.message.metadata) == {"a": "1"}
        assert said(found.instructions) == ["InlineCss: not done"]
        assert not any(isinstance(one.content, Metadata) for one in found.instructions)

    @pytest.mark.parametrize(
        ("changed", "text"),
        [
            ({"To": "no address"}, "Invalid 'To' address: 'no address'."),
            ({"From": "@"}, "Invalid 'From' address: '@'."),
            ({"Metadata": {"a": []}}, "Invalid metadata content."),
            ({"TemplateId": 7}, "TemplateId: relay does not fill in templates"),
            ({"Headers": {"X": "y"}}, "Headers: a list is expected"),
        ],
    )
    def test_the_sentence_of_a_fault_is_the_one_that_clients_look_for(self, changed: dict[str, Any], text: str) -> None:
        with pytest.raises(FormError) as caught:
            postmark.translate(POSTMARK | changed, CONTEXT)
        assert str(caught.value).startswith(text)


@given(
    st.dictionaries(
        st.sampled_from(sorted(SENDGRID | {"asm": 0, "headers": 0, "attachments": 0, "categories": 0})), JSON
    )
)
def test_no_request_to_sendgrid_raises_anything_but_the_refusal(changed: dict[str, Any]) -> None:
    try:
        found = sendgrid.translate(SENDGRID | changed, CONTEXT)
    except FormError:
        return
    assert all(isinstance(one.message, OutgoingMessage) for one in found)


@given(
    st.dictionaries(
        st.sampled_from(["From", "To", "Cc", "Headers", "Metadata", "Attachments", "Tag", "TextBody"]), JSON
    )
)
def test_no_request_to_postmark_raises_anything_but_the_refusal(changed: dict[str, Any]) -> None:
    try:
        found = postmark.translate(POSTMARK | changed, CONTEXT)
    except FormError:
        return
    assert isinstance(found.message, OutgoingMessage)
