"""Where answers come back to, and which Reply-To of an application can be a way there."""

from relay.config.settings import Settings
from relay.policy.decide import MAX_REPLY_TO, ReplyHandling, reply_handling

SETTINGS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test"},
        "domains": {"acme.test": {"reply_domain": "reply.acme.test"}},
        "identities": {"news@acme.test": {"reply_tracking": True}},
    }
)


def _replies(*given: str) -> ReplyHandling:
    return reply_handling(SETTINGS, "news@acme.test", given, signed=False)


def test_answers_go_to_the_addresses_given() -> None:
    assert _replies("a@x.test", "b@x.test") == ReplyHandling("reply.acme.test", ("a@x.test", "b@x.test"))
    assert _replies() == ReplyHandling("reply.acme.test")


def test_what_is_no_address_is_no_way_home() -> None:
    bad = ("a@b.test>\tNOTIFY=NEVER", "a@b@c", "@b.test", "a@b\udcff.test", "x@")
    assert _replies(*bad, "a@x.test") == ReplyHandling("reply.acme.test", ("a@x.test",))


def test_a_long_list_of_them_is_left_as_it_is_and_not_mailed_to_by_us() -> None:
    """Whoever answers once would otherwise write to thousands, outside every limit."""
    many = [f"v{number}@x.test" for number in range(MAX_REPLY_TO + 1)]
    assert _replies(*many[1:]).reply_to == tuple(many[1:])
    assert _replies(*many) == ReplyHandling()
