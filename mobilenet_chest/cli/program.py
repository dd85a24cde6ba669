"""Options of the whole program: before a command, or behind it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from mobilenet_chest import logs

NAME = "mobilenet-chest"


def _print_version(value: bool) -> None:
    if value:
        import mobilenet_chest

        typer.echo(f"{NAME} {mobilenet_chest.__version__}")
        raise typer.Exit


def _be_quiet(value: bool) -> None:
    if value:
        logs.show(logging.WARNING)


def _be_verbose(value: bool) -> None:
    if value:
        logs.show(logging.DEBUG)


def _log_to(context: typer.Context, value: Path | None) -> None:
    if value is None or context.resilient_parsing:
        return
    os.environ[logs.FILE_VARIABLE] = str(value.absolute())
    try:
        logs.show()
    except OSError as error:
        typer.echo(f"--log-file {value}: cannot be written ({error.strerror}); name another file", err=True)
        raise typer.Exit(2) from None


Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, expose_value=False, help="Print the version."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", callback=_be_quiet, expose_value=False, help="Only results, warnings and errors."),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", callback=_be_verbose, expose_value=False, help="Where each message is from, and tracebacks."
    ),
]
LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log-file", callback=_log_to, expose_value=False, metavar="FILE", help="Add all messages to this file, too."
    ),
]


def program(version: Version = False, quiet: Quiet = False, verbose: Verbose = False, log_file: LogFile = None) -> None:
    """Take the options that stand before a command; their callbacks do what they ask for."""


def _behind_a_command(
    version: Version = False, quiet: Quiet = False, verbose: Verbose = False, log_file: LogFile = None
) -> None:
    """Take the options that stand behind a command."""


def hidden_options() -> list[Any]:
    """Return the options that every command takes, as click has them. The help of a command does not repeat them."""
    single = typer.Typer(add_completion=False)
    single.command()(_behind_a_command)
    options = get_command(single).params
    for option in options:
        option.hidden = True  # type: ignore[attr-defined]  # options have it, arguments do not
    return options
