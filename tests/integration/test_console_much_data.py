"""Every list of the console with much data of real length: in all widths, light and dark, as its owner sees it."""

import json
from pathlib import Path

import pytest

from tests.integration.page_checks import looks_right
from tests.integration.test_console_afternoons import Keyboard
from tests.servers import axe
from tests.servers.actions import Say
from tests.servers.login_console import PEOPLE, LoginRelay, people_toml
from tests.servers.sink import Sink

LONG_DOMAIN = "kundenkommunikation-und-rechnungsversand.donaudampfschifffahrtsgesellschaft.example"

DOMAINS = ("acme.test", LONG_DOMAIN, f"{'x' * 63}.{'y' * 63}.test", "xn--mgbh0fb.test")

LONG_NAME = "transaktionsmails_der_rechnungsabteilung_ausgang_region_sued_0"

COMPANY = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft mbH"

PERSON = f"{'very.long.name.of.a.person' * 2}@{LONG_DOMAIN}"

SUBJECTS = (
    "Invoice 2026-1042 for your order of 14 March: payment is due within thirty days of the date of this letter, " * 4,
    "Donaudampfschifffahrtsgesellschaftskapitänskajütenschlüsselverlustmeldeformularausfertigungsbestätigung" * 2,
    "فاتورة رقم ١٠٤٢ لطلبك بتاريخ ١٤ مارس، يرجى الدفع خلال ثلاثين يومًا من تاريخ هذا الخطاب",
    "חשבונית 1042 עבור ההזמנה שלך (ORDER-7) — תודה רבה",
    "👩‍👩‍👧‍👦🏳️‍🌈🎉 Party 🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉",
    "\u202egnp.exe invoice",
    "ご注文いただきました商品の請求書をお送りいたします。お支払い期限は三十日以内となっておりますのでご確認ください。",
    "ใบแจ้งหนี้สำหรับคำสั่งซื้อของคุณกรุณาชำระภายในสามสิบวันนับจากวันที่ในจดหมายฉบับนี้",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "",
)

NAMES = (
    "Jane Doe",
    COMPANY,
    "خدمة العملاء لشركة الشحن والتوزيع",
    "שירות לקוחות",
    "🎉 Party 🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉",
)

RECIPIENTS = (
    f"{'a' * 64}@{LONG_DOMAIN}",
    "ada@reader.test",
    '"quoted, with spaces and (brackets)"@reader.test',
    f"reader+{'tag-' * 11}@reader.test",
)

REPLY = (
    "452 4.2.2 https://support.reader.test/mail/answer/"
    + "6558-over-quota-" * 8
    + " The email account that you tried to reach is over its quota"
)


def settings() -> str:
    """Return tables: 200 identities, domains of full length, and one of everything else with a long name."""
    domains = "".join(f'[domains."{name}"]\n' for name in DOMAINS)
    identities = "".join(
        f'[identities."{name}@{DOMAINS[number % 3]}"]\ndisplay_name = {json.dumps(shown, ensure_ascii=False)}\n'
        f'company = "{COMPANY * (number % 3 > 0)}"\n'
        for number in range(200)
        for name, shown in [(f"person{number}" if number % 4 else f"{'long.name.' * 5}{number}", NAMES[number % 5])]
    )
    return f"""{domains}{identities}
[[provider]]
name = "{LONG_NAME}"
host = "outgoing-mail-gateway-eu-central-1.{LONG_DOMAIN}"
port = 2525
tls = "none"
username = "{PERSON}"
password = "none"
[[webhook]]
name = "{LONG_NAME}"
url = "https://hooks.{LONG_DOMAIN}/v1/receive/{"deeply/" * 12}?tenant={"x" * 80}"
[credentials.{LONG_NAME}]
secret_hash = "blake2b:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
domains = {json.dumps(DOMAINS)}
"""


async def fill(relay: LoginRelay, sink: Sink) -> str:
    """Send mail with these texts to these recipients; return the queue id of one that waits."""
    long = "0123456789" * 8
    fields = {"X-Relay-Meta-order": long, "X-Relay-Tag": "a-tag-of-some-length-", "X-Relay-Meta-invoice": "1042"}
    sink.always("RCPT", Say(REPLY))
    sender = f"{'long.name.' * 5}100@{LONG_DOMAIN}"
    waits = await relay.send(RECIPIENTS[0], SUBJECTS[0], f"<{'id' * 80}@acme.test>", fields, sender=sender)
    sink.always("RCPT", Say(f"550 5.1.1 {REPLY[10:]}"))
    for number, subject in enumerate(SUBJECTS):
        to = RECIPIENTS[number % 4]
        await relay.send(to, subject, f"<{number}@acme.test>", sender=sender if number % 2 else "person1@acme.test")
    rows = [f"{'s' * 40}{number}@{LONG_DOMAIN}" for number in range(120)]
    for kind in ("suppression", "unsubscribe"):
        await relay.run(kind, "add", *rows, *RECIPIENTS[:2], *(("--domain", DOMAINS[1]) if kind[0] == "u" else ()))
    await relay.shows("/bounces", "reader.test|bounced")
    return waits


@pytest.mark.slow
async def test_lists_of_much_data_in_all_widths_light_and_dark(tmp_path: Path) -> None:
    axe.script()
    people = people_toml({**PEOPLE, PERSON: "support"}, {PERSON: LONG_DOMAIN})
    async with (
        Sink() as sink,
        LoginRelay(tmp_path, sink, settings(), people) as relay,
        Keyboard(width=390, height=900) as browser,
    ):
        waits = await fill(relay, sink)
        await browser.first_login(f"{relay.acting_url}/messages", "otto@acme.test")
        identity = f"{'long.name.' * 5}100@{LONG_DOMAIN}"
        paths = (
            *("/", "/messages", "/messages?q=invoice&status=bounced", f"/messages/{waits}", "/queue"),
            *("/queue?state=waiting", "/bounces", "/domains", f"/domains/{DOMAINS[2]}", "/identities"),
            *(f"/identities/{identity}", f"/identities/{identity}/edit", "/providers", f"/providers/{LONG_NAME}"),
            *("/suppressions", "/unsubscribes", "/webhooks", f"/webhooks/{LONG_NAME}", "/credentials"),
            *(f"/credentials/{LONG_NAME}", "/people", "/audit"),
        )
        for path in paths:
            await browser.go(relay.acting_url + path)
            # "Waiting longest" of the overview has no status: all of it waits.
            await looks_right(browser, f"much{path}"[:80], is_list=path != "/")
