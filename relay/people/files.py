"""People as files in `conf.d`: new ones, a new code, removal. Each is kept only if the whole configuration is right."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relay.config.console import Person, Role
from relay.config.errors import Fault
from relay.config.secret_hash import hash_password
from relay.config.table_files import (
    StaleTableError,
    TableElsewhereError,
    change_table,
    place_text,
    read_table,
    remove_table,
)
from relay.config.table_names import person_table
from relay.people.passwords import new_code


class PersonFileError(ValueError):
    """A person cannot be written or removed; the text says why, and what to do."""


def add_person(
    config: Path,
    address: str,
    role: Role,
    domains: Sequence[str],
    *,
    present: Person | None,
    random: bytes,
    environ: Mapping[str, str],
) -> tuple[str, Sequence[Fault]]:
    """Write a new person; return the code of the first login and the warnings of the configuration.

    Raises PersonFileError, ConfigError and OSError.
    """
    if present is not None:
        raise PersonFileError(f"{address} is in {_place(config, address, environ)} already")
    return _write(config, address, role, domains, random=random, environ=environ)


def reset_person(
    config: Path, address: str, *, present: Person | None, random: bytes, environ: Mapping[str, str]
) -> tuple[str, Sequence[Fault]]:
    """Write a new code for a person, which voids the password; return it and the warnings. Raises as `add_person`."""
    if present is None:
        raise PersonFileError(f"{address} is not a person of the console")
    return _write(config, address, present.role, present.domains, random=random, environ=environ)


def change_person(
    config: Path,
    address: str,
    role: Role,
    domains: Sequence[str],
    *,
    present: Person | None,
    environ: Mapping[str, str],
) -> Sequence[Fault]:
    """Write another role or other domains of a person; return the warnings. Raises as `add_person`."""
    if present is None:
        raise PersonFileError(f"{address} is not a person of the console")
    values = _values(role, domains) | {"code_hash": present.code_hash.get_secret_value()}
    return _changed(config, address, values, environ)


def remove_person(config: Path, address: str, *, present: Person | None, environ: Mapping[str, str]) -> Sequence[Fault]:
    """Remove a person; return the warnings. Raises as `add_person`."""
    if present is None:
        raise PersonFileError(f"{address} is not a person of the console")
    try:
        return remove_table(config, person_table(address), environ).warnings
    except (TableElsewhereError, StaleTableError) as error:
        raise PersonFileError(str(error)) from None


def _write(
    config: Path, address: str, role: Role, domains: Sequence[str], *, random: bytes, environ: Mapping[str, str]
) -> tuple[str, Sequence[Fault]]:
    """`random` has 10 octets for the code, and 16 for the salt."""
    code = new_code(random[:10])
    values = _values(role, domains) | {"code_hash": hash_password(code, random[10:26])}
    return code, _changed(config, address, values, environ)


def _changed(config: Path, address: str, values: Mapping[str, Any], environ: Mapping[str, str]) -> Sequence[Fault]:
    try:
        return change_table(config, person_table(address), values, environ).warnings
    except TableElsewhereError as error:
        raise PersonFileError(str(error)) from None


def _values(role: Role, domains: Sequence[str]) -> dict[str, Any]:
    return {"role": role, **({"domains": list(domains)} if domains else {})}


def _place(config: Path, address: str, environ: Mapping[str, str]) -> str:
    table = read_table(config, person_table(address), environ)
    place = table.elsewhere or table.place
    return place_text(place) if place else str(table.file)
