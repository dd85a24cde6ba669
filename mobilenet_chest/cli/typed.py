"""The command that a person has typed, to be shown again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def typed_command(option: str | None = None, value: str | None = None) -> str:
    """Return the command line of this process as it can be typed again.

    Args:
        option: One that is added, or takes the place of the same option.
        value: Its value.
    """
    program, *words = sys.argv
    if option is not None and value is not None:
        words = [*_without(words, option), option, value]
    name = Path(program).name
    if name == "__main__.py":
        start = "python -m mobilenet_chest"
    else:
        start = f"python {shlex.quote(program)}" if name.endswith(".py") else name
    return " ".join([start, *map(shlex.quote, words)])


def _without(words: list[str], option: str) -> list[str]:
    kept, is_value = list[str](), False
    for word in words:
        if not is_value and word != option and not word.startswith(f"{option}="):
            kept.append(word)
        is_value = word == option
    return kept
