"""The schemas in docs/ are those of the models, and bodies are valid by them."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from relay.events.event import Kind
from relay.webhooks.bodies import MODELS
from relay.webhooks.samples import sample
from relay.webhooks.schemas import schema_of
from tests.contract.values import NOW

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.mark.parametrize("kind", list(MODELS))
def test_the_schema_in_the_documentation_is_that_of_the_model(kind: str) -> None:
    file = FOLDER / f"{kind}.json"
    assert json.loads(file.read_text()) == schema_of(kind), f"write it anew: relay webhook schema {kind} > {file}"


def test_the_documentation_has_no_other_schemas() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == set(MODELS)


@pytest.mark.parametrize("kind", list(Kind))
def test_bodies_are_valid_by_their_schema(kind: Kind) -> None:
    record = sample(kind, "acme.test", NOW)
    Draft202012Validator(schema_of(record.type)).validate(json.loads(record.body.encode()))
