"""Replies in other languages about our address, our host or a list suppress no recipient."""

import pytest

from relay.dsn.classify import classify
from relay.dsn.rules_file import built_in_rules

SUPPRESSING = frozenset(("bad_mailbox", "bad_domain", "mailbox_disabled"))

REPLIES = """
550 お客様のメールアドレスは拒否リストに登録されています
550 5.7.1 발신 서버 주소가 차단 목록에 등록되었습니다
550 5.7.1 이 계정은 수신거부로 등록되어 있습니다
550 5.7.1 L'adresse From ne correspond pas au compte utilisé
550 5.7.1 L'adresse ne correspond pas au certificat
550 L'indirizzo non corrisponde al nome host
550 La dirección no corresponde al nombre de host
550 Die Adresse, von der Sie schreiben, ist nicht registriert
550 O endereço do servidor não possui DNS reverso
550 Адрес не значится в PTR
550 发件地址未注册
550 El dominio de la dirección no tiene cuenta
550 5.7.1 SASL_USERUNKNOWN
550 发信地址不存在
550 Alamat pengirim tidak ditemukan
550 5.7.1 This relay has no free descriptor
""".strip().splitlines()


@pytest.mark.parametrize("reply", REPLIES)
def test_a_fault_of_the_sender_suppresses_nobody(reply: str) -> None:
    status = next((one for one in reply.split() if one.count(".") == 2), "")
    found = classify(built_in_rules(), reply, 550, status, "rcpt")
    assert found.category not in SUPPRESSING, found
