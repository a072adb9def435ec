"""Looks up tables, fields and their properties in the schema of the configuration."""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from relay.config.settings import Settings
from relay.config.toml_positions import KeyPath
from relay.config.values import FROM_FILE, Section


def table_at(path: KeyPath) -> type[Section] | None:
    """Return the section at a path, None if the path is not in the schema or ends at a value."""
    found: Any = Settings
    for part in path:
        if isinstance(found, type) and issubclass(found, Section):
            field = fields_of(found).get(str(part))
            found = None if field is None else field.annotation
        else:
            found = get_args(found)[-1] if get_origin(found) is dict else (get_args(found) or (None,))[0]
        found = _bare(found)
    return found if isinstance(found, type) and issubclass(found, Section) else None


def fields_of(table: type[Section]) -> dict[str, FieldInfo]:
    """Return the fields of a section by their TOML keys."""
    return {field.alias or name: field for name, field in table.model_fields.items()}


def field_at(path: KeyPath) -> FieldInfo | None:
    """Return the field at a path, None if there is none."""
    table = table_at(path[:-1])
    return None if table is None else fields_of(table).get(str(path[-1]))


def keys_from_file(table: type[Section]) -> dict[str, FieldInfo]:
    """Return the fields whose value may come from a file, named by `<key>_file`."""
    return {key: field for key, field in fields_of(table).items() if FROM_FILE in field.metadata}


def has_secrets(values: Mapping[str, Any], path: KeyPath = ()) -> bool:
    """Return whether values of TOML at a path have a secret among them. The hash of one is none."""
    for key, value in values.items():
        place = (*path, key)
        field = field_at(place)
        is_secret = field is not None and ("SecretStr" in str(field.annotation) or FROM_FILE in field.metadata)
        if is_secret and value and not key.endswith("_hash"):
            return True
        inner = [((*place, 0), one) for one in value] if isinstance(value, list) else [(place, value)]
        if any(isinstance(one, Mapping) and has_secrets(one, at) for at, one in inner):
            return True
    return False


def example_of(field: FieldInfo) -> object:
    """Return a valid value to replace a missing or invalid one; None if the field has a default."""
    return field.examples[0] if field.examples else None


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Yield name and class of each top-level table that is no array."""
    for key, field in fields_of(Settings).items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield key, field.annotation


def _bare(annotation: Any) -> Any:
    """Strip Annotated and Optional."""
    while True:
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            annotation = args[0]
        elif origin in (UnionType, Union) and type(None) in args:
            annotation = next(arg for arg in args if arg is not type(None))
        else:
            return annotation
