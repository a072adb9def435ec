"""Loads compiled code, unless it was built from other sources than those that are here (docs/compiled-code.md).

Stale code would raise in the renderer, or return what its Python twin does not. Mail would leave unchanged, without an
error that is shown anywhere.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from relay.mail.native_sources import source_digest


def load_native(package: str) -> tuple[Any, str]:
    """Return the compiled module of a package; else None, and why it is not used: "" if it was not built."""
    try:
        module = import_module(f"{package}._native")
    except ModuleNotFoundError:
        return None, ""
    except ImportError as error:
        return None, f"the compiled code of {package} cannot be loaded ({error}): build it again (make native)"

    expected = source_digest(Path(str(import_module(package).__file__)).parent)
    if expected and getattr(module, "SOURCES", "") != expected:
        return (
            None,
            f"the compiled code of {package} is not built from the sources beside it: build it again (make native)",
        )
    return module, ""
