"""Prose that fits a terminal: long lines end between words, and a command to be typed stays whole."""

from __future__ import annotations

import re
import textwrap

HANGING = "  "
"""Begins every further line of a text."""

_COMMAND = re.compile(r"`[^`]+`|(?:\b(?:mobilenet-chest|mlflow|optuna-dashboard|pip)|(?:^|(?<=\s))python3?) [^;,`]+")
"""Commands in a text, to the end of their clause: a line that ends within one could not be copied."""

_SPACE = "\x00"
"""Stands for a space at which no line may end; no text that is printed has it."""


def wrapped(text: str, width: int) -> str:
    """Return a text in lines of at most ``width`` columns; a longer word or command has a line of its own."""
    return "\n".join(_wrapped(line, width) for line in text.split("\n"))


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip(" "))]
    whole = _COMMAND.sub(lambda match: match[0].replace(" ", _SPACE), line.lstrip(" "))
    lines = textwrap.wrap(
        whole, width, initial_indent=indent, subsequent_indent=indent + HANGING, break_long_words=False,
        break_on_hyphens=False, expand_tabs=False, replace_whitespace=False,
    )  # fmt: skip
    return "\n".join(lines).replace(_SPACE, " ")
