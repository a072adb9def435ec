"""What the reference says of each key, the JSON Schema of the configuration, `relay config describe`."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from relay.cli import main
from relay.config.json_schema import configuration_schema
from relay.config.reference import describe, parse_reference, reference
from relay.config.server import Log
from tests.documentation import PAGES, blocks_of, text_of

CONF = (Path(__file__).parents[2] / "conf" / "relay.toml").read_text()

SCHEMA = configuration_schema()


def faults(document: Any) -> list[str]:
    """What the schema has against a document. Dates of TOML are text to it, as to editors."""
    plain = json.loads(json.dumps(document, default=str))
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(plain)]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments])


def test_a_key_has_the_comment_above_it_or_that_of_the_key_before_it() -> None:
    lines = [
        "# About a.",
        "#[a]",
        "# First.",
        "# More.",
        "#one = 1",
        "#two = 2   # example",
        "",
        '#[domains."x.y".b]',
        "#c = []",
    ]
    assert [(one.name, one.text, one.value, one.is_example) for one in parse_reference(lines)] == [
        ("a", "About a.", "", False),
        ("a.one", "First. More.", "1", False),
        ("a.two", "First. More.", "2", True),
        ("domains.b", "", "", False),
        ("domains.b.c", "", "[]", False),
    ]


def test_every_line_of_the_reference_is_read() -> None:
    settings = len(re.findall(r"^#(?=\w+ = )", CONF, re.MULTILINE))
    assert len([one for one in reference() if one.value]) == settings
    assert [one.name for one in describe("delivery.tls")] == ["delivery.tls"]


def test_the_schema_is_one_and_accepts_the_reference() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert faults(tomllib.loads(re.sub(r"^#(?=[^\s:])", "", CONF, flags=re.MULTILINE))) == []


@pytest.mark.parametrize("page", PAGES)
def test_the_schema_accepts_the_examples_of_the_pages(page: str) -> None:
    for block in blocks_of(text_of(page)):
        if block.language == "toml":
            assert faults(tomllib.loads(block.text)) == [], f"{page}:{block.line}"


@pytest.mark.parametrize(
    "text",
    [
        "[delivery]\ntsl = 'none'",
        "[delivery]\ntls = 'sometimes'",
        "[server]\nreuse_port = 1",
        "[[listener]]\naddress = 25",
        "[domains.'acme.test'.dkim]\nselector = 's1'",
        "[queue]\nlifetime = true",
    ],
)
def test_the_schema_refuses_what_is_wrong(text: str) -> None:
    assert faults(tomllib.loads(text))


def test_a_key_of_the_schema_has_its_text_and_a_secret_may_be_in_a_file() -> None:
    delivery = SCHEMA["$defs"]["Delivery"]["properties"]
    assert delivery["tls"]["description"].startswith("For MX hosts:")
    assert {one["type"] for one in delivery["connect_timeout"]["anyOf"]} == {"number", "string"}
    assert "password_file" in SCHEMA["$defs"]["Provider"]["properties"]
    assert "x-complete" not in json.dumps(SCHEMA)


def test_describe_shows_default_text_and_the_name_in_the_environment() -> None:
    shown = invoke("describe", "delivery.tls").output
    assert 'delivery.tls = "opportunistic"' in shown
    assert "For MX hosts:" in shown
    assert "RELAY__DELIVERY__TLS" in shown


def test_describe_shows_a_table_with_its_keys_and_everything_without_a_name() -> None:
    assert invoke("describe", "log").output.count("\nlog.") == len(Log.model_fields)
    assert "webhook.retry" in invoke("describe").output
    assert json.loads(invoke("describe", "log.level", "--json").output)["value"] == '"info"'


def test_describe_of_an_unknown_key_suggests_one() -> None:
    refused = invoke("describe", "delivery.tsl")
    assert refused.exit_code == 64
    assert "delivery.tls" in refused.output
