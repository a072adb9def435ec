"""A section of the configuration from what a form says, before it is saved: for a test of its login. Pure."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from relay.config.errors import Location, problem_of
from relay.config.values import Section
from relay.people.table_faults import fault_text

_NOWHERE = Location("")

S = TypeVar("S", bound=Section)


def section_of(kind: type[S], values: Mapping[str, Any], password: str) -> tuple[S | None, Mapping[str, str]]:
    """Return a section with these values and that password, or the faults by key."""
    kept = {key: value for key, value in values.items() if key not in ("password", "password_file")}
    try:
        return kind.model_validate({**kept, **({"password": password} if password else {})}), {}
    except ValidationError as error:
        problems = [problem_of(one) for one in error.errors(include_url=False)]
        return None, {str(one.path[0]) if one.path else "": fault_text(one.at(_NOWHERE)) for one in problems}
