"""Manual pages in the form of man(7): of the commands from click, of the configuration from its reference."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import click

from relay import __version__
from relay.cli import COMMANDS, main
from relay.config.reference import reference

SEE_ALSO = "relay(1), relay.toml(5)"


def man_pages() -> Iterator[tuple[str, str]]:
    """Yield file name and content of each page."""
    context = click.Context(main, info_name="relay")
    yield "relay.1", "\n".join(_overview(context)) + "\n"
    for name in COMMANDS:
        command = main.get_command(context, name)
        if command is not None:
            yield f"relay-{name}.1", "\n".join(_command_page(command, click.Context(command, context, name))) + "\n"
    yield "relay.toml.5", "\n".join(_configuration_page()) + "\n"


def _overview(context: click.Context) -> Iterator[str]:
    yield from _title("relay", "1", "SMTP relay that tracks, signs, limits and retries mail")
    yield from (".SH SYNOPSIS", r".B relay", r"\fICOMMAND\fR [\fIOPTIONS\fR]", ".SH DESCRIPTION")
    yield escaped(main.help or "")
    yield ".SH COMMANDS"
    for name in COMMANDS:
        command = main.get_command(context, name)
        if command is not None:
            yield from (".TP", rf"\fBrelay\-{escaped(name)}\fR(1)", escaped(command.get_short_help_str(200)))
    yield from (".SH SEE ALSO", escaped("relay.toml(5)"))


def _command_page(command: click.Command, context: click.Context) -> Iterator[str]:
    yield from _title(f"relay-{context.info_name}", "1", command.get_short_help_str(200))
    yield ".SH SYNOPSIS"
    yield from _synopsis(command, context)
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")
    yield from _options(command, context, ".SH OPTIONS")
    if isinstance(command, click.Group):
        yield ".SH COMMANDS"
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _part(below, click.Context(below, context, name))
    yield from (".SH SEE ALSO", escaped(SEE_ALSO))


def _part(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the section of a command of a group."""
    yield f".SS {escaped(context.command_path)}"
    yield from _synopsis(command, context)
    yield ".PP"
    yield from _paragraphs(command.help or "")
    yield from _options(command, context, ".PP")


def _synopsis(command: click.Command, context: click.Context) -> Iterator[str]:
    pieces = " ".join(command.collect_usage_pieces(context))
    yield rf"\fB{escaped(context.command_path)}\fR {escaped(pieces)}"


def _options(command: click.Command, context: click.Context, heading: str) -> Iterator[str]:
    records = [record for one in command.get_params(context) if (record := one.get_help_record(context))]
    if records:
        yield heading
    for names, text in records:
        yield from (".TP", rf"\fB{escaped(names)}\fR", escaped(text))


def _configuration_page() -> Iterator[str]:
    yield from _title("relay.toml", "5", "configuration of relay")
    yield ".SH DESCRIPTION"
    yield escaped("Each key with its default, or an example. A table [name] is written [[name]] if it is repeatable.")
    described = reference()
    for one, following in pairwise([*described, described[0]]):
        if not one.value:
            yield f".SH {escaped(one.name.upper())}"
            yield escaped(one.text or f"The table [{one.name}].")
        else:
            note = " (example)" if one.is_example else ""
            yield from (".TP", rf"\fB{escaped(one.path[-1])}\fR = {escaped(one.value + note)}")
            shown = one.text if not following.value or following.text != one.text else ""
            yield escaped(shown) if shown else r"\&"
    yield from (".SH SEE ALSO", escaped("relay(1), relay-config(1)"))


def _title(name: str, section: str, purpose: str) -> Sequence[str]:
    return [
        f'.TH "{escaped(name.upper())}" "{section}" "" "relay {escaped(__version__)}" ""',
        ".nh",
        ".ad l",
        ".SH NAME",
        rf"{escaped(name)} \- {escaped(purpose)}",
    ]


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        yield escaped(" ".join(paragraph.split()))


def escaped(text: str) -> str:
    """Return a line of text for roff: a dot or quote at its start is no request, a hyphen is a hyphen of commands."""
    line = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{line}" if line.startswith((".", "'")) else line
