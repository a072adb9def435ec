"""Links that say unsubscribe stay untracked; links that do not are tracked as before."""

import time

import pytest

from relay.rewrite.html_tags import tags
from relay.rewrite.links import Reason, classify_link, links, rules
from relay.rewrite.options import Tracking
from relay.rewrite.unsubscribe_links import text_says_unsubscribe, url_says_unsubscribe

RULES = rules(Tracking(base_url="https://t.acme.test"), frozenset())

TEXTS = [
    "Unsubscribe",
    "Click here to unsubscribe",
    "Opt-out",
    "Newsletter abmelden",
    "Vom Newsletter abmelden",
    "abbestellen",
    "Newsletter kündigen",
    "Se désabonner",
    "Me désinscrire de la newsletter",
    "d&eacute;sabonner",
    "Darse de baja",
    "Cancelar suscripción",
    "Descadastrar",
    "Cancelar a inscrição",
    "Disiscriviti",
    "Annulla l'iscrizione",
    "Uitschrijven",
    "Afmelden",
    "Wypisz się",
    "Anuluj subskrypcję",
    "Отписаться",
    "ОТПИСАТЬСЯ от рассылки",
    "退订",
    "取消訂閱",
    "メールの配信停止はこちら",
    "수신거부",
    "إلغاء الاشتراك",
    "सदस्यता समाप्त करें",
    "Berhenti berlangganan",
    "Abonelikten çık",
    "un&#115;ubscribe",
    "&#1086;&#1090;&#1087;&#1080;&#1089;&#1072;&#1090;&#1100;&#1089;&#1103;",
    "<b>Unsub</b>scribe",
    '<span style="color:#999">unsubscribe</span> from this list',
]

OTHER_TEXTS = [
    "Subscribe",
    "Shop now",
    "Anmelden",
    "Jetzt bestellen",
    "Inscription",
    "S'abonner",
    "Options",
    "取消订单",
    "Trabajar con nosotros",
    "Subscription options",
    "Why people unsubscribe from newsletters, and what the ten best senders of this year did about it",
]

URLS = [
    "https://a.test/unsubscribe?u=1",
    "https://a.test/unsub/1",
    "https://a.test/?p=unsubscribe&uid=1",
    "https://a.test/opt-out",
    "https://a.test/newsletter/abmelden",
    "https://a.test/desinscription",
    "https://a.test/d%C3%A9sabonnement",
    "https://a.test/baja?x",
    "https://a.test/cancelar-suscripcion",
    "https://a.test/descadastrar",
    "https://a.test/disiscrizione",
    "https://a.test/uitschrijven",
    "https://a.test/wypisz",
    "https://a.test/%D0%BE%D1%82%D0%BF%D0%B8%D1%81%D0%B0%D1%82%D1%8C%D1%81%D1%8F",
    "https://a.test/%e9%80%80%e8%ae%a2",
    "https://unsubscribe.a.test/x",
]

OTHER_URLS = [
    "https://a.test/subscribe",
    "https://a.test/options?opt=1",
    "https://a.test/blog/how-to-keep-people-from-wanting-to-unsubscribe-your-mail",
    "https://a.test/trabajar",
    "https://a.test/anmelden",
    "https://optik.test/",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_says_it(text: str) -> None:
    html = f'<a href="https://x.test/l/1">{text}</a>'.encode()
    (found,) = links(html, html.lower(), list(tags(html.lower())), RULES)
    assert found.reason is Reason.SAYS_UNSUBSCRIBE


@pytest.mark.parametrize("text", OTHER_TEXTS)
def test_a_text_that_does_not(text: str) -> None:
    html = f'<a href="https://x.test/l/1">{text}</a>'.encode()
    (found,) = links(html, html.lower(), list(tags(html.lower())), RULES)
    assert found.reason is Reason.TRACKED


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_says_it(url: str) -> None:
    assert classify_link(url, RULES) == (url, Reason.SAYS_UNSUBSCRIBE)


@pytest.mark.parametrize("url", OTHER_URLS)
def test_a_url_that_does_not(url: str) -> None:
    assert classify_link(url, RULES) == (url, Reason.TRACKED)


@pytest.mark.parametrize(
    "value",
    ["{{unsubscribe_url}}", "http://*|UNSUB|*", "<%asm_group_unsubscribe_raw_url%>", "https://a.test/?u=*%7CUNSUB%7C*"],
)
def test_a_placeholder_is_no_link(value: str) -> None:
    assert classify_link(value, RULES) == (value, Reason.PLACEHOLDER)


def test_it_can_be_turned_off_but_not_for_placeholders() -> None:
    off = rules(Tracking(base_url="https://t.acme.test", skip_unsubscribe=False), frozenset())
    html = b'<a href="https://x.test/unsubscribe">Unsubscribe</a>'
    (found,) = links(html, html.lower(), list(tags(html.lower())), off)
    assert found.reason is Reason.TRACKED
    assert classify_link("https://x.test/?u=%7B%7Bunsubscribe_url%7D%7D", off)[1] is Reason.PLACEHOLDER


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("Отписаться", "koi8-r"),
        ("Отписаться", "windows-1251"),
        ("退订", "gb2312"),
        ("配信停止", "iso-2022-jp"),
        ("配信停止", "shift_jis"),
    ],
)
def test_a_text_in_another_charset(text: str, charset: str) -> None:
    encoded = text.encode(charset)
    assert text_says_unsubscribe(encoded, encoded.lower(), charset)
    assert not text_says_unsubscribe("Привет".encode("koi8-r"), "Привет".encode("koi8-r"), "koi8-r")
    assert not text_says_unsubscribe(b"\xff\xfe", b"\xff\xfe", "no-such-charset")


def test_long_texts_and_urls_take_no_time() -> None:
    started = time.process_time()
    for unit in ("unsubscribe ", "meld ", "&#", "un-", "<b>", "cancel a la "):
        text = (unit * 100_000).encode()
        text_says_unsubscribe(text, text, "utf-8")
        text_says_unsubscribe(text[:500], text[:500], "utf-8")
        url_says_unsubscribe(
            "https://a.test/" + unit.strip().replace(" ", "-").replace("&#", "-").replace("<b>", "/") * 2000
        )
    assert time.process_time() - started < 2.0
