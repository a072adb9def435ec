"""Fields of forms: what their texts mean, and what two people changed at one time."""

from collections.abc import Mapping

import pytest

from relay.console.form_fields import (
    FormField,
    Meaning,
    Option,
    Overlap,
    base_text,
    base_texts,
    meaning_of,
    merged,
    submitted,
    texts_of,
)

CHOICES = (Option("", "As the domain says"), Option("news", "News"))
FIELDS = (
    FormField(key="name", label="Name", required=True),
    FormField(key="limit", label="Limit", kind="number"),
    FormField(key="bcc", label="Copies", kind="list"),
    FormField(key="provider", label="Provider", kind="select", options=CHOICES),
    FormField(key="tracking.opens", label="Opens", kind="switch", default=True),
    FormField(key="password", label="Password", kind="secret"),
    FormField(key="how", label="How", is_stored=False),
)
FULL = {
    "name": "Ada",
    "limit": "1,040",
    "bcc": "a@x.test, b@x.test;c@x.test",
    "provider": "news",
    "tracking.opens": "no",
    "password": "hush",
    "how": "auto",
}


def meaning(present: dict[str, object] | None = None, **texts: str) -> Meaning:
    return meaning_of(FIELDS, {**FULL, **{key.replace("__", "."): text for key, text in texts.items()}}, present or {})


def test_texts_become_values() -> None:
    found = meaning()
    assert found.values == {
        "name": "Ada",
        "limit": 1040,
        "bcc": ["a@x.test", "b@x.test", "c@x.test"],
        "provider": "news",
        "tracking": {"opens": False},
    }
    assert (found.secrets, found.faults) == ({"password": "hush"}, {})


def test_values_become_the_texts_that_mean_them_and_no_secret() -> None:
    values = dict(meaning().values) | {"password_file": "x"}
    texts = texts_of(FIELDS, values)
    assert "password_file" not in str(texts)
    assert meaning_of(FIELDS, {**texts, "how": ""}, values) == Meaning(values, {}, {})


def test_an_empty_field_takes_its_key_away_and_others_stay() -> None:
    present = {"name": "A", "limit": 4, "bcc": ["a@x.test"], "tracking": {"opens": True, "pixel": "end"}, "cc": 1}
    found = meaning(present, limit="", bcc=" ", provider="", password="", tracking__opens="yes")
    assert found.values == {"name": "Ada", "tracking": {"opens": True, "pixel": "end"}, "cc": 1}
    assert present["limit"] == 4


def test_a_switch_in_its_default_state_writes_nothing() -> None:
    assert "tracking" not in meaning(tracking__opens="yes").values
    assert texts_of(FIELDS, {})["tracking.opens"] == "yes"
    assert submitted(FIELDS, {"name": " Ada "}) == {
        "name": "Ada",
        "tracking.opens": "no",
        **dict.fromkeys(("limit", "bcc", "provider", "password", "how"), ""),
    }


def test_an_empty_secret_keeps_the_present_one_and_another_replaces_it() -> None:
    assert meaning({"password_file": "old"}, password="").values["password_file"] == "old"
    found = meaning({"password_file": "old"}, password="new")
    assert ("password_file" in found.values, found.secrets) == (False, {"password": "new"})


@pytest.mark.parametrize(
    ("key", "text", "part"),
    [
        ("limit", "many", "'many' is not a whole number"),
        ("limit", "-1", "is not a whole number"),
        ("limit", "9" * 13, "is not a whole number"),
        ("limit", "٣", "is not a whole number"),
        ("provider", "gone", "'gone' is not one of the choices"),
        ("name", "", "needed"),
    ],
)
def test_a_text_without_meaning_is_a_fault_of_its_field(key: str, text: str, part: str) -> None:
    faults = meaning_of(FIELDS, {**FULL, key: text}, {}).faults
    assert faults.keys() == {key}
    assert part in faults[key]


def test_two_changes_are_both_in_the_form() -> None:
    base = {"name": "Ada", "limit": "40", "bcc": "", "provider": ""}
    now = base | {"limit": "20", "provider": "news", "bcc": "a@x.test"}
    yours = base | {"limit": "30", "name": "Ada L", "bcc": "a@x.test", "tracking.opens": "yes"}
    texts, overlaps = merged(FIELDS, yours, base_texts(base_text(base)), {**now, "tracking.opens": ""})
    assert {key: texts[key] for key in base} == {"name": "Ada L", "limit": "30", "bcc": "a@x.test", "provider": "news"}
    assert overlaps == [
        Overlap("Limit", "40", "20", "30"),
        Overlap("Copies", "nothing", "a@x.test"),
        Overlap("Provider", "As the domain says", "News"),
    ]


def test_what_a_form_began_with_may_be_anything() -> None:
    for text in ("", "{", "[1]", '"x"', '{"a": 1}'):
        assert base_texts(text) == {}


def test_no_choice_is_written_where_the_default_would_hold_without_the_key() -> None:
    options = tuple(Option(one, one) for one in ("send", "read"))
    scopes = (FormField(key="scopes", label="May", kind="checks", options=options, default=["send"]),)
    events = (FormField(key="events", label="Events", kind="checks", options=options),)

    def chosen(fields: tuple[FormField, ...], present: dict[str, object], *names: str) -> Mapping[str, object]:
        form = {f"{fields[0].key}:{name}": "yes" for name in names}
        return meaning_of(fields, submitted(fields, form), present).values

    assert chosen(scopes, {"scopes": ["read"]}) == {"scopes": []}
    assert chosen(scopes, {}) == {"scopes": []}
    assert chosen(scopes, {}, "send") == {}
    assert texts_of(scopes, {"scopes": []}) == {"scopes": ""}
    assert chosen(events, {"events": ["read"]}) == {}


def test_values_that_are_no_choice_stay() -> None:
    options = tuple(Option(one, one) for one in ("send", "read"))
    fields = (FormField(key="scopes", label="May", kind="checks", options=options, default=["send"]),)
    present = {"scopes": ["other", "read", "send"]}
    assert meaning_of(fields, texts_of(fields, present), present).values == present
    found = meaning_of(fields, submitted(fields, {"scopes:read": "yes"}), present).values
    assert found == {"scopes": ["read", "other"]}
    assert meaning_of(fields, submitted(fields, {}), present).values == {"scopes": ["other"]}
