"""Loading: from a YAML file and ``key=value`` overrides to a checked :class:`~mobilenet_chest.config.Config`."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mobilenet_chest import plugins
from mobilenet_chest.config.paths import assign, section_at
from mobilenet_chest.config.plugin_files import named_in, relative_to, run_named
from mobilenet_chest.config.problems import problem
from mobilenet_chest.config.schema import Config
from mobilenet_chest.config.search_space import check_search
from mobilenet_chest.config.yaml_text import read_yaml, write_yaml
from mobilenet_chest.errors import ConfigError

_YAML_MARKS = ("'", '"', "[", "{", "&", "*", "!", "|", ">", "%", "@", "`")
"""What values that are no plain words begin with."""


def load(
    source: Path | str | Mapping[str, Any] | Config | None = None, overrides: Sequence[str] = (), **fields: Any
) -> Config:
    """Return the experiment of a file or of plain fields.

    The files under ``plugins`` are run: they are code that the caller names.

    Args:
        source: A YAML file, its fields as a mapping, or an experiment to change; ``None`` for the defaults of the
            schema.
        overrides: ``dotted.path=value`` strings, or one of them, values in YAML notation, which replace the file's
            values.
        fields: Further values, which come last: ``seed=7``, ``stage2={"lr": 1e-3}``, or ``**{"stage2.lr": 1e-3}``. Of
            a section only the given fields are replaced; ``search`` is replaced as a whole.

    Raises:
        ConfigError: With every problem of file, overrides and search space.
    """
    base = _fields(source)
    assignments = [split_override(each) for each in ([overrides] if isinstance(overrides, str) else overrides)]
    keywords = dict(_leaves(fields))
    for key, value in [*assignments, *keywords.items()]:
        assign(base, key, value)
    if not isinstance(source, Config) or base["plugins"] != source.resolved()["plugins"]:
        run_named(base)  # those of an experiment were run when it was loaded, or it is of a run, whose are never run
    name = "config" if isinstance(source, Mapping | Config) else str(source or "defaults")
    return parse(base, source=name, overridden=[key for key, _ in assignments], keywords=list(keywords))


def check_loaded(config: Config, function: str) -> None:
    """Check that a public function was given an experiment, not what :func:`load` makes one of.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(config, Config):
        given = f"'{config}'" if isinstance(config, Path | str) else f"a {type(config).__name__}"
        raise ConfigError(
            [f"{function}: takes an experiment that load() returns, not {given}; type {function}(load(…))"]
        )


def _fields(source: Path | str | Mapping[str, Any] | Config | None) -> dict[str, Any]:
    """Return the fields of an experiment as YAML has them, which may be changed."""
    match source:
        case None:
            return {"name": "defaults"}
        case Config():
            return source.resolved()
        case Mapping():
            return copy.deepcopy(dict(source))
        case Path() | str():
            base = _read_yaml(Path(source))
            relative_to(Path(source).absolute().parent, base)
            return base
    raise ConfigError([f"load: {str(source)[:60]!r} is no experiment; give a YAML file, or a mapping of its fields"])


def parse(
    fields: Mapping[str, Any], *, source: str = "config", overridden: Sequence[str] = (), keywords: Sequence[str] = ()
) -> Config:
    """Return the experiment of plain fields, as YAML has them.

    No plugin is run: those that nobody has named on this machine are absent, and what they would register is not
    checked.

    Args:
        fields: Nested mappings of the schema's fields.
        source: Where they are from; every problem names it.
        overridden: Paths that the command line set; their problems name the command line instead.
        keywords: Paths that keyword arguments of :func:`load` set.

    Raises:
        ConfigError: With every problem.
    """
    origins = dict.fromkeys(overridden, "command line") | dict.fromkeys(keywords, "keyword argument")
    with plugins.using(named_in(fields)):
        try:
            config = Config.model_validate(fields)
        except ValidationError as error:
            raise ConfigError([problem(detail, source, origins) for detail in error.errors()]) from None
        return config.model_copy(update={"search": check_search(config, source)})


def load_stored(path: Path) -> Config:
    """Return the experiment that a run has stored; as :func:`parse`, this runs no plugin.

    Raises:
        ConfigError: With every problem.
    """
    return parse(_read_yaml(path), source=str(path))


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


def _leaves(fields: Mapping[str, Any], names: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield dotted paths with their values, below sections; a mapping that is no section is a value."""
    for key, value in fields.items():
        below = (*names, str(key))
        if isinstance(value, Mapping) and section_at(".".join(below).split(".")) is not None:
            yield from _leaves(value, below)
        else:
            yield ".".join(below), _plain(value)


def _plain(value: Any) -> Any:
    """Return a value as YAML would have it: paths as text."""
    return str(value) if isinstance(value, Path) else value


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such experiment file; `ls experiments` lists the ones included"]) from None
    except UnicodeDecodeError:
        raise ConfigError(
            [f"{path}: not text, and an experiment is a YAML file; to use a data file, give data.path={path} instead"]
        ) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read as a YAML experiment: {error}"]) from None
    try:
        fields = read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: not valid YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(fields, dict):
        raise ConfigError([f"{path}: not an experiment: write keys such as name, data and model, each with its value"])
    return fields


def split_override(override: str) -> tuple[str, Any]:
    """Return path and value of ``dotted.path=value``.

    Raises:
        ConfigError: It has another form.
    """
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError([f"'{override}': an override has the form key=value, for example stage2.lr=3e-4"])
    if " #" in f" {value}" and value.lstrip()[:1] not in _YAML_MARKS:
        return key, value  # in a file it would begin a comment; on a command line it is part of a path or name
    try:
        return key, read_yaml(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError([f"'{override}': the value is not valid YAML; quote it, for example '{key}=\"…\"'"]) from None
