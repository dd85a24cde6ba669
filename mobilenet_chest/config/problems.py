"""Validation errors as lines that say where the problem is, what the value is, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic_core import ErrorDetails

from mobilenet_chest.config.paths import elsewhere, overlap, section_at
from mobilenet_chest.errors import allowed_names, nearest


def problem(detail: ErrorDetails, source: str, origins: Mapping[str, str] | None = None) -> str:
    """Return one of pydantic's errors as one line.

    Args:
        detail: The error.
        source: Where the fields are from, such as the path of a file.
        origins: Paths that were not set there -> what set them, such as the command line; their errors name that.
    """
    names = [part for part in detail["loc"] if isinstance(part, str) and not part.startswith("function-")]
    path = ".".join(names)
    where = next((origin for key, origin in (origins or {}).items() if overlap(path, key)), source)
    if detail["type"] == "extra_forbidden":
        section = section_at(names[:-1])
        return f"{where}: {path}: unknown key{_allowed_keys(names[-1], section.model_fields if section else ())}"
    if detail["type"] == "missing" and any(isinstance(part, int) for part in detail["loc"]):
        return f"{where}: {path}: one more entry is needed; `mobilenet-chest schema` shows the form"
    if detail["type"] == "missing":
        return f"{where}: {path}: missing; add it, every experiment needs it"
    if detail["type"] == "value_error":
        message = detail["msg"].removeprefix("Value error, ")
        return f"{where}: {path + ': ' if path else ''}{message}"
    requirement = "must be a section with fields" if detail["type"] == "model_type" else _requirement(detail["msg"])
    if detail["type"] == "string_too_long":  # hundreds of letters would hide what is wrong
        return f"{where}: {path}: {requirement}, not {len(detail['input'])}: {detail['input'][:40]!r}…"
    return f"{where}: {path}: {requirement}, not {detail['input']!r}"


def _allowed_keys(name: str, allowed: Iterable[str]) -> str:
    """Return what may stand there, and first the key of that name in other sections, where none here is close."""
    hint = "" if nearest(name, allowed) else elsewhere(name)
    return f"{hint} Allowed here: {', '.join(allowed)}" if hint else allowed_names(name, allowed)


def _requirement(message: str) -> str:
    """Return pydantic's "Input should be …" as "must be …", without the part on parsing strings."""
    message = message.split(", unable to parse")[0].replace("Input should", "must").replace("String should", "must")
    return message[0].lower() + message[1:]
