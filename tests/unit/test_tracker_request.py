"""The path of a request, and the tokens that it may end in."""

import pytest

from relay.tracker.request import path_of, tokens_in


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/c/a-b_c?x=1", "/c/a-b_c"),
        ("/%63/a%2Db%5fc", "/c/a-b_c"),
        ("/c/a%252Db%25255Fc", "/c/a-b_c"),
        ("/c/a%20%3F%2F%25", "/c/a%20%3F%2F%25"),
        ("//c///a", "/c/a"),
        ("/c%2Fa", "/c/a"),
        ("https://t.example/c%2Fa", "/c/a"),
        ("/%2Fc%252Fa", "/c/a"),
        ("HTTPS://t.example/c/a%41", "/c/aA"),
        ("ftp://t.example/c/a", ""),
        ("*", ""),
    ],
)
def test_equivalent_paths_are_one(target: str, path: str) -> None:
    assert path_of(target) == path


@pytest.mark.parametrize(
    "text",
    [
        "tok-en_1",
        *(
            f"tok-en_1{after}"
            for after in (".", ",", ")", "%29", "]", ">", "%3E", "&gt;", '"', "'", "%22", "*", "=", "%")
        ),
        *(
            f"tok-en_1{after}"
            for after in ("&utm_source=x", "&amp;a=b", ";jsessionid=1", "/", "/index.html", "%3Fa=b", ".gif")
        ),
        *(f"tok-en_1{after}" for after in ("%20see", " see", "%0D%0AMore", "%E2%80%8B", "_", "__", "-_", "_%2A")),
        *("tok=0D=0A-en_1"[:3] + broken + "-en_1" for broken in ("=%0D%0A", "%0D%0A%20", "=%0A", "=\r\n", "%20")),
        *(
            "tok" + broken + "-en_1"
            for broken in ("%3D%0D%0A", "%250D%250A", "=", "%C2%AD", "%E2%80%8B", "\u200b", "\xad")
        ),
        *(
            "tok" + broken + "-en_1"
            for broken in (
                "%0D%0A%3E%20",
                "\r\n> ",
                "\r\n> > ",
                "!%0D%0A ",
                "=0D=0A",
                "=0A",
                "<wbr>",
                "%3Cwbr/%3E",
                "&shy;",
                "&#8203;",
            )
        ),
        *("tok=2Den=5F1", "tok=2den=5f1", "tok\\-en\\_1", "tok%5C-en%5C_1", "tok/-en/_1"),
        *(f"tok-en_1{after}" for after in ("https://there.test/", "http://there.test/")),
        *(f"{before}tok-en_1" for before in ("%20", " ", "=%0D%0A", "%3C", "<", "%22", "(")),
    ],
)
def test_the_token_is_found_behind_what_programs_add(text: str) -> None:
    assert "tok-en_1" in list(tokens_in(text))


@pytest.mark.parametrize("text", ["", ".", "%20", "=", "é"])
def test_a_path_without_a_token_has_none(text: str) -> None:
    assert list(tokens_in(text)) == []


@pytest.mark.parametrize(
    "text",
    ["a" + "_" * 5000, "a%0A" + "%3E%20" * 5000, "!" * 5000, "<wbr " * 5000, "%20" * 5000, "=2D" * 5000, "a%20" * 5000],
)
def test_few_tokens_are_tried(text: str) -> None:
    assert len(list(tokens_in(text))) <= 8
