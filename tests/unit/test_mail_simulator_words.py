"""Words of the simulator: which recipients are its own, and what it does with them."""

import pytest

from relay.config.settings import Settings
from relay.mail.lane import DIRECT, SIMULATOR, is_provider, is_simulated, lane_of, split_lane
from relay.mail.reply import Reply
from relay.mail.simulator_words import SANDBOXED, Answer, React, Simulator, Suppressed
from relay.queue.routing import candidates, fallbacks_after
from relay.render.message_policy import MessagePolicy
from relay.storage.json_columns import decode_policy, encode_policy

WORDS = Simulator("simulator.acme.test")


def test_the_domain_of_the_configuration_answers_and_that_of_ses_in_the_sandbox() -> None:
    assert WORDS.answers("hard@Simulator.Acme.Test")
    assert not WORDS.answers("hard@acme.test")
    assert not WORDS.answers("bounce@simulator.amazonses.com")
    assert WORDS.answers("bounce@simulator.amazonses.com", sandbox=True)
    assert not Simulator("").answers("hard@acme.test")


@pytest.mark.parametrize(
    ("address", "behaviour"),
    [
        ("click+order-1042@simulator.acme.test", React("click")),
        ("OOTO@simulator.amazonses.com", React("ooto")),
        ("suppressionlist@simulator.amazonses.com", Suppressed()),
        ("hard@reader.test", Answer(SANDBOXED, at_dot=True)),
        ("code-421-4.3.2@simulator.acme.test", Answer(Reply(421, "4.3.2", "Reply that the address asks for"))),
    ],
)
def test_what_the_receiver_does(address: str, behaviour: object) -> None:
    assert WORDS.behaviour(address) == behaviour


@pytest.mark.parametrize("word", ["code-550-4.7.1", "code-350-5.0.0", "code-550", "nothing"])
def test_what_is_no_word_is_no_mailbox(word: str) -> None:
    found = WORDS.behaviour(f"{word}@simulator.acme.test")
    assert isinstance(found, Answer)
    assert found.reply.status == "5.1.1"


def test_lanes_of_the_simulator_are_those_of_no_provider() -> None:
    assert lane_of(SIMULATOR, "hard+1@x.test") == "simulator:hard"
    assert lane_of(SIMULATOR, "code-550-5.7.1@x.test") == "simulator:code"
    assert lane_of(SIMULATOR, "ada@x.test") == "simulator:sandbox"
    assert split_lane("simulator:hard") == (SIMULATOR, "")
    assert is_simulated("simulator:hard")
    assert not is_provider("simulator:hard")
    assert (lane_of(DIRECT, "a@x.test"), lane_of("up", "a@x.test")) == ("mx:x.test", "provider:up")


def test_a_simulated_entry_has_no_other_provider() -> None:
    policy = MessagePolicy(provider="up", fallback_providers=("other", "direct"))
    assert candidates(SIMULATOR, policy) == (SIMULATOR,)
    assert fallbacks_after(SIMULATOR, policy) == ()
    inside = policy.in_sandbox()
    assert (inside.providers, inside.would_leave_by) == ((SIMULATOR,), "up")
    assert fallbacks_after(SIMULATOR, inside) == ()


@pytest.mark.parametrize("damage", ["false", "null", '"yes"', "0"])
def test_a_stored_sandbox_that_is_not_true_cannot_be_read(damage: str) -> None:
    text = encode_policy(MessagePolicy().in_sandbox())
    assert decode_policy(text).sandbox
    with pytest.raises(ValueError, match="sandbox"):
        decode_policy(text.replace('"sandbox":true', f'"sandbox":{damage}'))


@pytest.mark.parametrize("value", ["yes", {"deliver_to": []}, {"to": ["a@b.test"]}, {"deliver_to": ["nobody"]}, 1])
def test_a_sandbox_that_is_neither_on_nor_addresses_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="sandbox"):
        Settings.model_validate({"domains": {"acme.test": {"sandbox": value}}})


def test_the_strictest_setting_holds() -> None:
    settings = Settings.model_validate(
        {
            "defaults": {"sandbox": True},
            "domains": {"live.test": {"sandbox": False}, "qa.test": {"sandbox": {"deliver_to": ["qa@acme.test"]}}},
            "identities": {"a@qa.test": {"sandbox": True}, "b@qa.test": {}},
        }
    )
    assert settings.sandbox_for("x@other.test") is True
    assert settings.sandbox_for("x@live.test") is False
    assert settings.sandbox_for("a@qa.test") is True
    found = settings.sandbox_for("b@qa.test")
    assert getattr(found, "deliver_to", ()) == ("qa@acme.test",)
