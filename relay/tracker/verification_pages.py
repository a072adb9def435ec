"""HTML pages that verify the address of a sender. Text of requests in them is escaped. Pure."""

from datetime import UTC, datetime
from html import escape

from relay.mail.domain_name import to_unicode
from relay.tracker.pages import form, page
from relay.tracker.ports import CodeTerms, Confirmation

_TIME = "%Y-%m-%d %H:%M:%S UTC"

_ADDRESS_FIELD = (
    '<label for="address">Your address</label>\n'
    '<input id="address" name="address" value="{value}" inputmode="email" autocomplete="email" autocapitalize="none" '
    'spellcheck="false" placeholder="you@example.com" required autofocus{invalid}>\n'
)

_CODE_FIELD = (
    '<label for="code">The code</label>\n'
    '<input id="code" name="code" class="code" inputmode="numeric" autocomplete="one-time-code" maxlength="20" '
    "required autofocus{invalid}>\n"
)

_HIDDEN = '<input type="hidden" name="address" value="{}">\n'

_INVALID = ' aria-invalid="true" aria-describedby="fault"'

_OTHER = '<p class="more"><a href="verify">Use another address</a></p>'

TRY_LATER = page("That did not work", '<p role="alert">Please try again in a minute.</p>', "warn")

FOREIGN = page(
    "Please open this page yourself",
    '<p role="alert">The request came from a page of another site, so nothing was done.</p>',
    "warn",
)

ELSEWHERE = page(
    "Please use the code",
    "<p>This page cannot confirm addresses here. Give the code in the message to the person who set up your mail.</p>",
)


def ask_address(value: str = "", fault: str = "") -> str:
    """Return the page that asks for the address; `fault` says what is wrong with the value."""
    field = _ADDRESS_FIELD.format(value=escape(value), invalid=_INVALID if fault else "")
    return page(
        "Verify your address",
        "<p>Type the address from which mail is sent. We send a code to it, and you type that in here.</p>\n"
        f'<form method="post">\n{_alert(fault)}{field}<button type="submit">Send me a code</button>\n'
        '<button type="submit" class="second" name="have" value="yes">I have a code</button>\n</form>',
    )


def ask_code(address: str, terms: CodeTerms, *, sent: bool, fault: str = "") -> str:
    """Return the page that asks for the code. It is the same for all addresses; `sent`: a code was asked for now."""
    where = (
        f"If {_strong(address)} can be verified here, a code is on its way to it."
        if sent
        else f"The code is in the newest mail about this to {_strong(address)}."
    )
    hidden = _HIDDEN.format(escape(address))
    return page(
        "Type in the code",
        f'<p>{where}</p>\n<form method="post">\n{_alert(fault)}{hidden}'
        f'{_CODE_FIELD.format(invalid=_INVALID if fault else "")}<button type="submit">Verify</button>\n</form>\n'
        f'<form method="post" class="again">\n{hidden}'
        '<button type="submit" class="second">Send a new code</button>\n</form>\n'
        f'<p class="more">{escape(_terms(terms))}</p>\n{_OTHER}',
    )


def ask_confirmation(asked: Confirmation) -> str:
    """Return the page of the link in a mail: it names the address and has the button."""
    address = _strong(_shown(asked.address))
    if asked.verifies:
        question = f"Do you confirm that mail may be sent as {address}?"
        return page("Confirm your address", f"<p>{question}</p>\n{form('Confirm')}")
    question = f"Do you confirm that answers to {address} are read here, at {_strong(_shown(asked.sent_to))}?"
    return page("Confirm that answers arrive", f"<p>{question}</p>\n{form('Confirm')}")


def confirmed(done: Confirmation) -> str:
    """Return the page that says what was confirmed, with date and time."""
    at = datetime.fromtimestamp(done.at, UTC)
    time = f'<time datetime="{at.isoformat(timespec="seconds")}">{at.strftime(_TIME)}</time>'
    address = _strong(_shown(done.address))
    if done.verifies:
        title, what, follows = "Your address is verified", f"{address}<br>verified, {time}", "Mail may be sent from it."
    else:
        title, follows = "Answers arrive", "This does not verify the address."
        what = f"Answers to {address} arrive at {_strong(_shown(done.sent_to))}<br>confirmed, {time}"
    close = f'<p class="more">{follows} You can close this page now.</p>'
    return page(title, f'<p role="status">{what}</p>\n{close}', "good")


def too_late(*, has_page: bool) -> str:
    """Return the page of a link that is too old; `has_page`: the page that sends codes is switched on."""
    again = '<a href="../verify">Have a new code sent.</a>' if has_page else "Ask for another."
    text = f"A newer message took its place, or it was not used in time. {again}"
    return page("This link is too old", f'<p role="alert">{text}</p>', "warn")


def not_an_address(fault: str) -> str:
    """Return what is wrong with a text that is no address."""
    return f"That is not a mail address: {fault}."


def wrong_code() -> str:
    """Return why a code was refused. It does not depend on what is known of the address."""
    return "This is not the code of the newest mail, or it is no longer valid."


def not_a_code(digits: int) -> str:
    """Return what is wrong with a text that is no code."""
    return f"The code has {digits} digits."


def too_many(again_at: float) -> str:
    """Return until when a client or address must wait."""
    again = datetime.fromtimestamp(again_at, UTC).strftime("%H:%M UTC")
    return f"There were too many requests. The next one is possible at {again}. The last code may still be valid."


def _terms(terms: CodeTerms) -> str:
    minutes = f"{terms.lifetime / 60:.0f} minutes"
    text = (
        f"No mail? Look in the spam folder. A code is valid for {minutes} and {terms.tries} tries. "
        f"An address gets at most {terms.per_hour} codes an hour."
    )
    if not terms.dns_domain:
        return text
    return f"{text} Addresses at {to_unicode(terms.dns_domain)} get none: they are verified by DNS."


def _alert(fault: str) -> str:
    return f'<p class="fault" id="fault" role="alert">{escape(fault)}</p>\n' if fault else ""


def _strong(text: str) -> str:
    return f"<strong>{escape(text)}</strong>"


def _shown(addresses: str) -> str:
    """Return a list of addresses with the domains in U-labels."""
    return ", ".join(map(to_unicode, addresses.split(", ")))
