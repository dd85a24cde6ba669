"""Loading: from a YAML file and ``key=value`` overrides to a checked :class:`~mobilenet_chest.config.Config`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mobilenet_chest.config.paths import assign
from mobilenet_chest.config.problems import problem
from mobilenet_chest.config.schema import Config
from mobilenet_chest.config.search_space import check_search
from mobilenet_chest.config.yaml_text import read_yaml, write_yaml
from mobilenet_chest.errors import ConfigError

_YAML_MARKS = ("'", '"', "[", "{", "&", "*", "!", "|", ">", "%", "@", "`")
"""What values that are no plain words begin with."""


def load(path: Path | str | None, overrides: Sequence[str] = ()) -> Config:
    """Return the experiment of a file.

    Args:
        path: A YAML file; ``None`` for the defaults of the schema.
        overrides: ``dotted.path=value`` strings, values in YAML notation, which replace the file's values.

    Raises:
        ConfigError: With every problem of file, overrides and search space.
    """
    fields = {"name": "defaults"} if path is None else _read_yaml(Path(path))
    assignments = [_split_override(override) for override in overrides]
    for key, value in assignments:
        assign(fields, key, value)
    return parse(fields, source=str(path or "defaults"), overridden=[key for key, _ in assignments])


def parse(fields: Mapping[str, Any], *, source: str = "config", overridden: Sequence[str] = ()) -> Config:
    """Return the experiment of plain fields, as YAML has them.

    Args:
        fields: Nested mappings of the schema's fields.
        source: Where they are from; every problem names it.
        overridden: Paths that the command line set; their problems name the command line instead.

    Raises:
        ConfigError: With every problem.
    """
    try:
        config = Config.model_validate(fields)
    except ValidationError as error:
        raise ConfigError([problem(detail, source, overridden) for detail in error.errors()]) from None
    return config.model_copy(update={"search": check_search(config, source)})


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """Return the experiment with the fields at the given dotted paths replaced, and nothing left to search.

    Raises:
        ConfigError: A value does not fit its field, or the fields do not fit together.
    """
    fields = config.resolved() | {"search": {}}
    for path, value in values.items():
        assign(fields, path, value)
    return parse(fields, source="trial")


def to_yaml(config: Config) -> str:
    """Return the resolved experiment as YAML that :func:`load` reads back to an equal experiment."""
    return write_yaml(config.resolved())


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such experiment file; `ls experiments` lists the ones included"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read as a YAML experiment: {error}"]) from None
    try:
        fields = read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: not valid YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(fields, dict):
        raise ConfigError([f"{path}: not an experiment: write keys such as name, data and model, each with its value"])
    return fields


def _split_override(override: str) -> tuple[str, Any]:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError([f"'{override}': an override has the form key=value, for example stage2.lr=3e-4"])
    if " #" in f" {value}" and value.lstrip()[:1] not in _YAML_MARKS:
        return key, value  # in a file it would begin a comment; on a command line it is part of a path or name
    try:
        return key, read_yaml(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError([f"'{override}': the value is not valid YAML; quote it, for example '{key}=\"…\"'"]) from None
