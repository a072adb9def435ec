"""Other programs that read posts of webhooks: django-anymail, SendGrid's library, Standard Webhooks' library."""

import warnings
from collections.abc import Mapping
from typing import Any

SIGNING_KEY = "key of the test"


def standard_webhooks(secret: str, headers: Mapping[str, str], body: bytes) -> Any:
    """Return the JSON of a post; raises for one that does not verify."""
    from standardwebhooks.webhooks import Webhook

    return Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})


def sendgrid_verifies(public_key: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether SendGrid's own library verifies a post."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sendgrid.helpers.eventwebhook import EventWebhook, EventWebhookHeader

        reader = EventWebhook(public_key)
        signature = headers[EventWebhookHeader.SIGNATURE]
        found: bool = reader.verify_signature(body.decode(), signature, headers[EventWebhookHeader.TIMESTAMP])
    return found


class Anymail:
    """django-anymail's webhook views, with a login of its own for those that have no signature."""

    def __init__(self, mailgun_key: str = SIGNING_KEY) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import django
            from django.conf import settings

            if not settings.configured:
                settings.configure(
                    ANYMAIL={"WEBHOOK_SECRET": "hook:secret", "AMAZON_SES_AUTO_CONFIRM_SNS_SUBSCRIPTIONS": False},
                    DEFAULT_CHARSET="utf-8",
                    ALLOWED_HOSTS=["*"],
                    SECRET_KEY="x",
                    USE_TZ=True,
                )
                django.setup()
        self._mailgun_key = mailgun_key

    def read(self, vendor: str, headers: Mapping[str, str], body: bytes) -> list[Any]:
        """Return the events of a post, after the view accepted it. Raises what the view raises."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from django.test import RequestFactory

            fields = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
            kind = headers.get("Content-Type", "application/json")
            request = RequestFactory().post("/", data=body, content_type=kind, **fields)
            view = self._view(vendor)
            view.run_validators(request)
            return list(view.parse_events(request))

    def _view(self, vendor: str) -> Any:
        from anymail.webhooks import amazon_ses, mailgun, postmark, sendgrid

        match vendor:
            case "sendgrid":
                return sendgrid.SendGridTrackingWebhookView()
            case "mailgun":
                return mailgun.MailgunTrackingWebhookView(webhook_signing_key=self._mailgun_key)
            case "postmark":
                return postmark.PostmarkTrackingWebhookView()
        # Only confirmations of subscriptions need boto3, which is large.
        amazon_ses._get_anymail_boto3_params = lambda **_: ({}, {})
        return amazon_ses.AmazonSESTrackingWebhookView()
