"""Which links a block holds for, in whatever spelling, and what an operator may name."""

import pytest

from relay.rewrite.tokens import Kind, Token, new_key, parse_keyring, sign_token
from relay.tracker.link_blocks import Block, BlockError, BlockParser, LinkBlocks
from relay.tracker.link_target import canonical_url, host_of

KEYS = parse_keyring([new_key(b"k" * 32, "k1")])

PARSER = BlockParser(KEYS)

QUEUE_ID = "0ABCDFGHJKLMNP"


def token(target: str, number: int = 3, queue_id: str = QUEUE_ID) -> Token:
    return Token(Kind.CLICK, queue_id, number, target)


def blocked(target: str, *blocks: str) -> bool:
    return LinkBlocks([PARSER.parse(one) for one in blocks]).find(token(target)) is not None


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/",
        "http://evil.test",
        "HTTPS://EVIL.Test./login?x=1#y",
        "https://evil.test:8443/a",
        "https://www.evil.test/",
        "https://a.b.evil.test./",
        "https://user:password@evil.test/",
        "https://good.test@evil.test/",
        "https://evil.test\\@good.test/",
        "https://ev%69l.test/",
        "https://ｅｖｉｌ。test/",
        "https://ev\u00adil.test/",
        " https://evil.test/",
        "https://ev\til.test/",
        "https:// evil.test/".replace(" ", ""),
    ],
)
@pytest.mark.parametrize("block", ["evil.test", "EVIL.TEST.", "evil.test:443", "*.evil.test"])
def test_a_host_is_blocked_in_every_spelling_with_all_below_it(target: str, block: str) -> None:
    assert blocked(target, block)


@pytest.mark.parametrize(
    "target",
    [
        "https://good.test/",
        "https://notevil.test/",
        "https://evil.test.good.test/",
        "https://good.test/evil.test",
        "https://good.test\\@evil.test/",
        "https://good.test/?to=https://evil.test/",
        "https://test/",
    ],
)
def test_other_hosts_are_not_blocked(target: str) -> None:
    assert not blocked(target, "evil.test")


@pytest.mark.parametrize("block", ["münchen.test", "MÜNCHEN.test", "xn--mnchen-3ya.test", "XN--MNCHEN-3YA.TEST."])
@pytest.mark.parametrize(
    "target", ["https://münchen.test/", "http://shop.MÜNCHEN.test", "https://xn--mnchen-3ya.test/a"]
)
def test_hosts_with_u_labels_and_a_labels_are_equal(block: str, target: str) -> None:
    assert blocked(target, block)


@pytest.mark.parametrize(
    ("block", "targets"),
    [
        (
            "192.0.2.1",
            [
                "http://192.0.2.1:81/",
                "http://0xc0.0.2.1/",
                "http://3221225985/",
                "http://192.513/",
                "http://0300.0.02.1./",
            ],
        ),
        ("[2001:db8::1]", ["https://[2001:DB8:0::1]/", "https://[2001:db8::0001]:8443/"]),
        ("192.0.2.1", ["https://[::ffff:192.0.2.1]/"]),
    ],
)
def test_addresses_are_blocked_in_every_spelling(block: str, targets: list[str]) -> None:
    assert all(blocked(target, block) for target in targets)


@pytest.mark.parametrize(
    ("target", "is_blocked"),
    [
        ("https://shop.test/a/b?x=1", True),
        ("http://shop.test/a/b?x=1", True),
        ("https://SHOP.test.:443/a/b?x=1#there", True),
        ("https://me@shop.test/a/./c/../b?x=1", True),
        ("https://shop.test\\a\\b?x=1", True),
        ("https://shop.test/%61/b?x=%31", True),
        ("https://shop.test/a/b?x=2", False),
        ("https://shop.test/a/b", False),
        ("https://shop.test/A/b?x=1", False),
        ("https://shop.test:8443/a/b?x=1", False),
        ("https://www.shop.test/a/b?x=1", False),
    ],
)
def test_a_url_is_blocked_in_every_spelling_and_nothing_else(target: str, is_blocked: bool) -> None:
    assert blocked(target, "https://shop.test/a/b?x=1") is is_blocked
    assert blocked(target, "shop.test/a/b?x=1") is is_blocked


def test_a_token_blocks_one_link_of_one_recipient() -> None:
    link = token("https://shop.test/a")
    other_key = parse_keyring([new_key(b"j" * 32, "k2"), new_key(b"k" * 32, "k1")])
    for text in (sign_token(KEYS, link), f"https://t.acme.test/c/{sign_token(KEYS, link)}?utm=1", str(_value(link))):
        blocks = LinkBlocks([BlockParser(other_key).parse(text)])
        assert blocks.find(link) == Block("token", _value(link))
        assert blocks.find(token("https://shop.test/b")) is None
        assert blocks.find(token("https://shop.test/a", number=4)) is None
        assert blocks.find(token("https://shop.test/a", queue_id="0ABCDFGHJKLMNQ")) is None


def _value(link: Token) -> str:
    return f"{link.queue_id}/{link.number} {link.target}"


def test_nothing_is_blocked_without_blocks_or_without_a_target() -> None:
    assert LinkBlocks().find(token("https://evil.test/")) is None
    assert not blocked("ftp://evil.test/", "evil.test")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither a link, nor a URL, nor a host"),
        ("evil test", "neither a link, nor a URL, nor a host"),
        ("-evil.test", "neither a link, nor a URL, nor a host"),
        ("ftp://evil.test/", "is not an http or https URL"),
        ("https:///", "is not an http or https URL"),
        ("javascript:alert(1)//x", "is not an http or https URL"),
        ("com", "a whole domain of registrations"),
        ("co.uk", "a whole domain of registrations"),
        (sign_token(KEYS, token("https://shop.test/a"))[:-1], "no token of a link that this relay signed"),
        (sign_token(KEYS, Token(Kind.OPEN, QUEUE_ID, 3)), "no token of a link that this relay signed"),
    ],
)
def test_what_names_no_link_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BlockError, match=why):
        PARSER.parse(text)


@pytest.mark.parametrize(
    ("text", "block"),
    [
        (" Evil.Test:80 ", Block("host", "evil.test")),
        ("localhost", Block("host", "localhost")),
        ("192.0.2.1:8080", Block("host", "192.0.2.1")),
        ("a_b.evil.test", Block("host", "a_b.evil.test")),
        ("evil.test/", Block("url", "evil.test/")),
        ("HTTPS://Evil.Test", Block("url", "evil.test/")),
    ],
)
def test_links_urls_and_hosts_are_read_as_blocks(text: str, block: Block) -> None:
    assert PARSER.parse(text) == block


@pytest.mark.parametrize("text", ["evil.test", "https://shop.test:8443/a?b", f"{QUEUE_ID}/3 https://shop.test/a b"])
def test_the_value_of_a_block_is_read_as_the_same_block(text: str) -> None:
    block = PARSER.parse(text)
    shown = f"https://{block.value}" if block.kind == "url" else block.value
    assert PARSER.parse(shown) == block
    assert PARSER.parse(shown).key == block.key


def test_what_is_no_url_has_no_host() -> None:
    assert (host_of("mailto:a@evil.test"), canonical_url("evil.test")) == ("", "")


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("http://a.test:080/", "a.test/"),
        ("https://a.test:00443/", "a.test/"),
        ("https://a.test:08443/", "a.test:8443/"),
        ("http://a.test:/", "a.test/"),
        ("http://a.test:000/", "a.test:0/"),
        ("http://a.test:" + 5000 * "9" + "/", "a.test:" + 5000 * "9" + "/"),
    ],
)
def test_a_port_has_one_spelling_whatever_its_length(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical
