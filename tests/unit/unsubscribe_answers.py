"""The messages that readers answer, a reader, and what the answer quotes."""

from relay.inbound.unsubscribe_request import Answered

CAMPAIGN = Answered("Our offer", is_campaign=True)

RECEIPT = Answered("Our offer")

JO = "Jo Doe <jo@there.test>"

QUOTE = "\n\nOn Monday, Acme wrote:\n> Our offer\n> Unsubscribe\n"
