"""What is wrong with a command line, in one line: the option, the value, what is allowed, and where help is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.exceptions import TyperException


@contextmanager
def wrong_usage(command: str, completing: bool) -> Iterator[None]:
    """Print what the block finds wrong with a command line as one line on stderr, and exit with its code.

    Args:
        command: What was called, such as ``mobilenet-chest data``.
        completing: A shell completes the line, and nobody reads a message.
    """
    try:
        yield
    except TyperException as error:
        text = usage_line(error, command)
        if completing or "\n" in text:  # the help of a group without a command
            raise
        from mobilenet_chest.cli.format import err, fitted  # it takes a tenth of a second

        typer.echo(fitted(text, err), err=True)
        raise typer.Exit(error.exit_code) from None


def usage_line(error: Any, command: str) -> str:
    """Return the line of an error of typer; the help, many lines, where that is its message."""
    parameter = getattr(error, "param", None)
    text = error.format_message() if parameter is None or not error.message else _about_value(error, parameter)
    if "\n" in text:
        return str(text)
    text = f"{text[:1].lower()}{text[1:]}".rstrip(".")
    start = "python " if command.endswith(".py") else ""
    return f"{text}{' Type:' if text.endswith('?') else '; type:'} {start}{command} --help"


def _about_value(error: Any, parameter: Any) -> str:
    """Return option or argument, the value, and what is wrong with it; pydantic's message does not always say which."""
    reason = error.message.removeprefix("Value error, ")
    name = max(parameter.opts, key=len) if parameter.param_type_name == "option" else parameter.make_metavar(error.ctx)
    details: list[Any] = getattr(error.__cause__, "errors", list)()
    value = "".join(
        sign if sign.isprintable() else repr(sign)[1:-1]  # an escape sequence would reach the terminal
        for sign in (str(details[0]["input"]) if details else "")
    )
    given = f" {value}" if value and repr(value) not in reason else ""
    return f"{name}{given}: {reason[:1].lower()}{reason[1:]}"
