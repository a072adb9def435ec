"""Compiled code is used if it was built from the sources beside it, and only then."""

import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from relay.mail import native
from relay.mail.native_loader import load_native
from relay.mail.native_sources import source_digest

PACKAGE = Path(native.__file__).parent


def put(monkeypatch: pytest.MonkeyPatch, **attributes: str) -> ModuleType:
    module = ModuleType("relay.mail._native")
    for name, value in attributes.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "relay.mail._native", module)
    return module


def test_code_built_from_the_sources_beside_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    module = put(monkeypatch, SOURCES=source_digest(PACKAGE))
    assert load_native("relay.mail") == (module, "")


@pytest.mark.parametrize("attributes", [{"SOURCES": "0123456789abcdef"}, {}])
def test_stale_code_is_not_used_and_the_fault_says_what_to_do(
    attributes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, **attributes)
    found, fault = load_native("relay.mail")
    assert found is None
    assert fault == (
        "the compiled code of relay.mail is not built from the sources beside it: build it again (make native)"
    )


def test_an_installed_package_without_sources_is_not_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = put(monkeypatch, SOURCES="0123456789abcdef")
    monkeypatch.setattr(sys.modules["relay.mail"], "__file__", str(tmp_path / "__init__.py"))
    assert source_digest(tmp_path) == ""
    assert load_native("relay.mail") == (module, "")


def test_code_that_was_not_built_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "relay.mail._native", None)
    assert load_native("relay.mail") == (None, "")


def test_code_that_cannot_be_loaded_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "broken_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_native.py").write_text('raise ImportError("undefined symbol: frobnicate")')
    monkeypatch.syspath_prepend(str(tmp_path))
    found, fault = load_native("broken_package")
    assert found is None
    assert "cannot be loaded (undefined symbol: frobnicate)" in fault


@pytest.mark.parametrize("change", ["more", "renamed"])
def test_every_change_of_a_source_changes_the_digest(tmp_path: Path, change: str) -> None:
    rewrite = Path(str(sys.modules["relay"].__file__)).parent / "rewrite"
    for source in (*rewrite.glob("*.pyx"), *rewrite.glob("*.pxi")):
        shutil.copy(source, tmp_path)
    assert source_digest(tmp_path) == source_digest(rewrite)
    if change == "more":
        with (tmp_path / "html_tags.pxi").open("a") as html:
            html.write("\n")
    else:
        (tmp_path / "html_tags.pxi").rename(tmp_path / "tags.pxi")
    assert source_digest(tmp_path) != source_digest(rewrite)
