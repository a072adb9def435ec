"""Who asks to be unsubscribed, and who only talks about it."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.unsubscribe_request import Answered, UnsubscribeRequest, find_unsubscribe_request

CAMPAIGN = Answered("Our offer", is_campaign=True)
RECEIPT = Answered("Our offer")
JO = "Jo Doe <jo@there.test>"

SENTENCES = (Path(__file__).parents[1] / "golden" / "unsubscribe.txt").read_text("utf-8").splitlines()

QUOTE = "\n\nOn Monday, Acme wrote:\n> Our offer\n> Unsubscribe\n"


@pytest.mark.parametrize(
    "line",
    [
        "unsubscribe",
        "Unsubscribe.",
        "UNSUBSCRIBE!!!",
        " Please unsubscribe me ",
        "Please remove me from your mailing list",
        "take me off this list",
        "stop emailing me",
        "opt out",
        "unsubscribe from this newsletter",
        "Abmelden",
        "Bitte abmelden",
        "Newsletter abbestellen",
        "Bitte nehmen Sie mich aus dem Verteiler heraus",
        "désinscrire",
        "Me désinscrire",
        "Désabonnement",
        "darse de baja",
        "Darme de baja, por favor",
        "cancelar suscripción",
        "Cancelar a inscrição, por favor",
        "disiscrivimi",
        "afmelden",
        "uitschrijven aub",
        "avregistrera",
        "wypisz mnie",
        "отписаться",
        "退订",
        "配信停止",
    ],
)
def test_a_line_that_is_the_request(line: str) -> None:
    assert find_unsubscribe_request("Re: Our offer", f"\n{line}\n", RECEIPT) == UnsubscribeRequest(bare=True)
    assert find_unsubscribe_request(f"Re: {line}", "", RECEIPT) == UnsubscribeRequest(bare=True)
    assert find_unsubscribe_request("Re: Our offer", f"{line}{QUOTE}", RECEIPT) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Thanks, but how do I unsubscribe Tom?",
        "Please do not unsubscribe me",
        "I would like to unsubscribe from the premium plan and take the basic one",
        "> unsubscribe",
        "| unsubscribe",
        "Stop the presses, this is great",
        "Baja California is where we live",
        "We remove me from nothing",
        "",
        "   \n\n",
        f"Thanks!{QUOTE}",
        "unsubscribe " * 40,
        "please",
    ],
)
def test_an_ordinary_reply_unsubscribes_nobody(text: str) -> None:
    assert find_unsubscribe_request("Re: Our offer", text, RECEIPT) is None


def test_a_subject_that_only_repeats_ours_asks_for_nothing() -> None:
    assert find_unsubscribe_request("Re: Unsubscribe", "Yes please, tell me more", Answered("Unsubscribe")) is None
    assert find_unsubscribe_request("AW: Unsubscribe!", "ok", Answered("unsubscribe")) is None
    assert find_unsubscribe_request("unsubscribe", "", RECEIPT) == UnsubscribeRequest(bare=True)


def test_what_else_it_says_is_to_be_read() -> None:
    asked = find_unsubscribe_request(
        "Re: Our offer", "unsubscribe\n\nThis is the third time, and delete my data.\n", RECEIPT
    )
    assert asked == UnsubscribeRequest(bare=False)
    assert find_unsubscribe_request("unsubscribe", "I am moving house, Ada", RECEIPT) == UnsubscribeRequest(bare=False)
    assert find_unsubscribe_request("unsubscribe", "unsubscribe\n> Our offer\n", RECEIPT) == UnsubscribeRequest(
        bare=True
    )


def test_only_marks_in_front_of_a_subject_are_passed_over() -> None:
    assert find_unsubscribe_request("unsubre: scribe", "", RECEIPT) is None
    assert find_unsubscribe_request("Re: AW: unsubscribe", "", RECEIPT) == UnsubscribeRequest(bare=True)


def test_blanks_in_a_subject_take_no_time() -> None:
    started = time.process_time()
    assert find_unsubscribe_request("x" + " " * 20_000 + "y", "", RECEIPT) is None
    assert time.process_time() - started < 1.0


@given(st.text(max_size=300), st.text(max_size=300))
def test_it_never_raises(subject: str, text: str) -> None:
    find_unsubscribe_request(subject, text, RECEIPT)


@pytest.mark.parametrize(
    "text",
    [
        "STOP",
        "Stop. Thank you",
        "Unsubscribe me please. Thanks, Jo",
        "Hi,\nplease unsubscribe me.\nJo",
        "I would like to unsubscribe from your mailing list. Thank you!",
        "Could you please remove me from this list?",
        "Please take my email address off your list immediately.",
        "Please stop sending me these emails",
        "I no longer wish to receive your newsletter",
        "Don't email me anymore",
        "Ich möchte keine E-Mails mehr erhalten.",
        "Hiermit kündige ich den Newsletter",
        "Stop pub",
        "Gelieve mij uit te schrijven",
        "Nie chcę otrzymywać więcej wiadomości",
        "Proszę mnie usunąć z listy",
        "Poista minut listalta",
        "Kérem töröljenek a listáról",
        "Vă rog să mă dezabonați",
        "Παρακαλώ διαγράψτε με από τη λίστα",
        "Please cancel my subscription. Kind regards, Jo Doe",
        "Hello Acme team,\n\nplease remove me from your mailing list.\n\nBest regards\nJo Doe\n\nSent from my iPhone",
        "Bitte melden Sie mich von Ihrem Newsletter ab. Vielen Dank. Mit freundlichen Grüßen, Jo Doe",
        "Guten Tag,\n\nich möchte den Newsletter abbestellen.\n\nViele Grüße\nJo",
        "Bitte tragen Sie mich aus Ihrem Verteiler aus.",
        "Bitte keine weiteren E-Mails mehr",
        "Bitte löschen Sie meine E-Mail-Adresse aus Ihrem Verteiler",
        "Bonjour, merci de me désinscrire de votre liste. Cordialement, Jo",
        "Je ne souhaite plus recevoir vos mails",
        "Veuillez me retirer de votre liste de diffusion",
        "Désabonnez-moi s'il vous plaît",
        "Je voudrais me désabonner de cette newsletter.",
        "Hola, por favor denme de baja de su lista. Gracias",
        "No quiero recibir más correos",
        "Quiero darme de baja de este boletín, gracias.",
        "Por favor, elimínenme de la lista de correo",
        "Baja",
        "Olá, gostaria de cancelar a inscrição. Obrigado",
        "Por favor, remova meu e-mail da lista",
        "Não quero mais receber e-mails",
        "Sair",
        "Vorrei cancellarmi dalla newsletter, grazie",
        "Buongiorno, vi chiedo di cancellarmi dalla vostra mailing list. Cordiali saluti",
        "Non desidero più ricevere le vostre email",
        "Graag uitschrijven van de nieuwsbrief. Bedankt",
        "Ik wil me graag afmelden voor deze nieuwsbrief",
        "Schrijf mij aub uit",
        "Proszę wypisać mnie z listy mailingowej",
        "Rezygnuję z newslettera",
        "Proszę o usunięcie mnie z listy",
        "Пожалуйста, отпишите меня от рассылки",
        "Прошу больше не присылать мне писем",
        "Удалите меня из списка рассылки. Спасибо",
        "Отписаться",
        "Стоп",
        "Lütfen beni listeden çıkarın",
        "Abonelikten çıkmak istiyorum",
        "请退订,谢谢",
        "请帮我取消订阅",
        "请不要再给我发邮件了",
        "退訂",
        "配信停止してください",
        "メールの配信を停止してください。よろしくお願いします。",
        "メルマガの配信停止をお願いいたします",
        "退会します",
        "수신거부 부탁드립니다",
        "구독 취소해 주세요",
        "الرجاء إلغاء الاشتراك",
        "أريد إلغاء اشتراكي من القائمة البريدية",
        "कृपया मुझे इस सूची से अनसब्सक्राइब करें",
        "बंद करें",
        "Berhenti berlangganan",
        "Remove",
        "Cancel please",
        "Stop it",
        "unsubscribe\n\nOn Mon, 30 Nov 2026 at 10:00, Acme News and Offers for\nall <news@acme.test> wrote:\n> Offer",
        "Please unsubscribe me\n\n-----Original Message-----\nFrom: Acme\nSubject: Offer\n\nUnsubscribe here",
        "STOP\n\nAm 30.11.2026 um 10:00 schrieb Acme:\n> x",
        "I want to be removed from your list",
        "Please remove my name from your mailing list. Thank you.",
        "kindly opt me out",
        "Opt-out",
        "Please delete my email address from your database",
        "STOP 👍",
        "Unsubscribe\u200b \N{PERSON WITH FOLDED HANDS}",
        "STOP STOP STOP",
        "unsuscribe",
        "unsubcribe me",
        "Un-subscribe",
        "Leave",
        "take us off your list",
        "Remove from mailing list please",
        "I don't want these emails",
        "No thanks, unsubscribe",
        "Not interested, please remove me",
        "Kein Interesse, bitte abmelden",
        "Hiermit melde ich mich vom Newsletter ab.",
        "Bitte keine Mails mehr schicken",
        "Stoppen Sie das bitte",
        "Merci de me retirer de vos listes",
        "Stop s'il vous plaît",
        "Quero sair da lista",
        "Basta mail",
        "Listeden çıkar",
        "Bu e-postaları almak istemiyorum",
        "请把我从邮件列表中删除",
        "メルマガを解除したいです",
        "もういりません",
        "구독을 취소해 주세요",
        "메일 수신을 거부합니다",
        "मुझे इस सूची से हटा दें",
        "बंद करो",
        "আনসাবস্ক্রাইব করুন",
        "আমাকে তালিকা থেকে বাদ দিন",
        "مجھے فہرست سے نکال دیں",
        "أرجو إلغاء الاشتراك",
        "الرجاء إزالتي من القائمة",
        "Ta bort mig från listan",
        "Xin hủy đăng ký",
        "unsubscribe jo@there.test",
        "Please remove Jo@There.test from your list.",
    ],
)
def test_a_text_that_is_only_the_request_with_greetings_courtesies_and_a_name(text: str) -> None:
    assert find_unsubscribe_request("Re: Our offer", text, CAMPAIGN, JO) == UnsubscribeRequest(bare=True)
    assert find_unsubscribe_request("Re: Our offer", f"{text}{QUOTE}", CAMPAIGN, JO) == UnsubscribeRequest(bare=True)


@pytest.mark.parametrize(
    "text",
    [
        "Thanks, but how do I unsubscribe Tom?",
        "Please do not unsubscribe me",
        "I would like to unsubscribe from the premium plan and take the basic one",
        "Hello\nunsubscribe Tom",
        "Stop the presses, this is great",
        "Baja California is where we live",
        "We remove me from nothing",
        "please",
        "Cancel my order please",
        "Please stop by tomorrow",
        "Do not remove me from the list",
        "Ich möchte mich nicht abmelden",
        "No me den de baja",
        "Ne me désinscrivez pas",
        "Please send me more emails",
        "I want two. Stop.",
        "Stop.\nI want two.",
        "Danke",
        "Thanks",
        "Cancel the meeting on Friday",
        "End of the month is fine",
        "Please remove the second item",
        "Bitte stornieren",
        "Non cancellatemi",
        "I did not unsubscribe",
        "Why did you unsubscribe me?",
        "Thanks for the mail",
        "I have a question about the newsletter",
        "Não cancelar minha inscrição",
        "unsubscribe ann@there.test",
        "Please remove ann@there.test from your list",
        "not interested",
        "Kein Interesse",
        "Stop 👍 we take two",
        "请不要退订",
        "配信停止しないでください",
        "수신거부하지 마세요",
        "बंद मत करो",
        "لا تلغي اشتراكي",
        "Is this the end",
        "This claim is unsubstantiated",
    ],
)
def test_a_text_that_talks_about_it_or_says_more(text: str) -> None:
    for answered in (CAMPAIGN, RECEIPT):
        assert find_unsubscribe_request("Re: Our offer", text, answered, JO) is None


@pytest.mark.parametrize(
    "word", ["STOP", "Stop.", "Cancel", "Baja", "Sair", "Стоп", "停止", "Διαγραφή", "הסר", "Stop, please. Jo"]
)
def test_a_single_word_is_a_request_in_answer_to_campaign_mail_only(word: str) -> None:
    """Under a receipt or a reminder it may be about an order or an appointment: somebody has to read it."""
    assert find_unsubscribe_request("Re: Our offer", word, CAMPAIGN, JO) == UnsubscribeRequest(bare=True)
    assert find_unsubscribe_request("Re: Our offer", word, RECEIPT, JO) is None
    assert find_unsubscribe_request("Re: Our offer", f"{word}\nWe meet at noon", CAMPAIGN, JO) is None


def test_a_single_word_as_the_subject_of_an_empty_mail() -> None:
    assert find_unsubscribe_request("STOP", "", CAMPAIGN) == UnsubscribeRequest(bare=True)
    assert find_unsubscribe_request("STOP", "Please call me", CAMPAIGN) is None
    assert find_unsubscribe_request("Re: Stop", "", Answered("Stop", is_campaign=True)) is None


def test_a_word_under_a_single_word_is_no_signature_of_somebody_else() -> None:
    assert find_unsubscribe_request("Re: Our offer", "Stop.\nWonderful", CAMPAIGN, JO) is None
    assert find_unsubscribe_request("Re: Our offer", "Unsubscribe.\nAnna", CAMPAIGN, JO) is not None


def test_a_courtesy_with_more_in_it_is_read_by_somebody() -> None:
    assert find_unsubscribe_request("Re: Our offer", "Unsubscribe. Thanks but call me", CAMPAIGN, JO) is None
    asked = find_unsubscribe_request("Re: Our offer", "Unsubscribe.\nThanks but call me", CAMPAIGN, JO)
    assert asked == UnsubscribeRequest(bare=False)


def test_the_address_that_the_message_went_to_is_the_reader() -> None:
    """A reader may answer from another mailbox than the one on the list."""
    for recipient, asks in (("office@there.test", True), ("ann@there.test", False)):
        answered = Answered("Our offer", recipient=recipient)
        asked = find_unsubscribe_request("Re: Our offer", "Please remove office@there.test", answered, JO)
        assert (asked is not None) == asks


def test_long_texts_take_no_time() -> None:
    started = time.process_time()
    for text in ("please " * 20_000, "unsubscribe " * 20_000, "x. " * 20_000, "meld sie mich " * 20_000, "a@" * 20_000):
        find_unsubscribe_request("Re: Our offer", text, CAMPAIGN, JO)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("line", [line for line in SENTENCES if line.startswith(("+", "-"))])
def test_polite_sentences_of_many_languages(line: str) -> None:
    written = line[2:].replace("\\n", "\n")
    found = find_unsubscribe_request("Re: Our offer", f"{written}{QUOTE}", CAMPAIGN, JO)
    assert (found is not None) == line.startswith("+")
