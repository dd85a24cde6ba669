"""From a YAML file and ``key=value`` overrides to a checked :class:`~mobilenet_chest.config.Config`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mobilenet_chest.config.schema import Config
from mobilenet_chest.config.search import Distribution
from mobilenet_chest.errors import ConfigError, nearest

MOST_COMBINATIONS = 256
"""How many combinations of a search space are tried against the schema; beyond it, the first ones."""


def load(path: Path | str | None, overrides: Sequence[str] = ()) -> Config:
    """Read an experiment.

    Args:
        path: A YAML file; ``None`` for the defaults of the schema.
        overrides: ``dotted.path=value`` strings, values in YAML notation, applied on top of the file.

    Raises:
        ConfigError: With every problem of file, overrides and search space.
    """
    fields = {"name": "defaults"} if path is None else _read_yaml(Path(path))
    given = [_split_override(text) for text in overrides]
    for key, value in given:
        _assign(fields, key, value)
    return parse(fields, source=str(path or "defaults"), overridden=[key for key, _ in given])


def parse(fields: Mapping[str, Any], *, source: str = "config", overridden: Sequence[str] = ()) -> Config:
    """Check plain fields (as from YAML) and return the experiment.

    Raises:
        ConfigError: With every problem, each naming ``source``, or the command line for overridden keys.
    """
    try:
        config = Config.model_validate(fields)
    except ValidationError as error:
        raise ConfigError([_describe(detail, source, overridden) for detail in error.errors()]) from None
    search, problems = _checked_search(config, source)
    if problems:
        raise ConfigError(problems)
    return config.model_copy(update={"search": search})


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """``config`` with the fields at the given dotted paths replaced, checked again, and nothing left to search.

    Raises:
        ConfigError: When a value does not fit.
    """
    fields = config.resolved() | {"search": {}}
    for key, value in values.items():
        _assign(fields, key, value)
    return parse(fields, source="trial")


def flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level of dotted paths; lists and scalars are leaves."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def to_yaml(config: Config) -> str:
    """The resolved experiment as YAML that :func:`load` reads back to an equal experiment."""
    return yaml.safe_dump(config.resolved(), sort_keys=False, allow_unicode=True)


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice: YAML's last-one-wins would hide one of them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(k, deep=True) for k, _ in node.value if k.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            [f"{path}: no such experiment file; `ls experiments` shows the ones that come along"]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read as a YAML experiment: {error}"]) from None
    try:
        fields = yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: not valid YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(fields, dict):
        raise ConfigError([f"{path}: an experiment is a mapping with keys such as name, data, model; this file is not"])
    return fields


def _split_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError([f"'{text}': an override has the form key=value, for example stage2.lr=3e-4"])
    try:
        return key, yaml.load(value, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError([f"'{text}': the value is not valid YAML; quote it, for example '{key}=\"…\"'"]) from None


def _assign(fields: dict[str, Any], key: str, value: Any) -> None:
    """Set ``fields[a][b] = value`` for the key ``a.b``; a search path keeps its own dots (``search.stage2.lr``)."""
    head, _, rest = key.partition(".")
    parents, leaf = ([], head) if not rest else ([head], rest)
    if rest and head != "search":
        *parents, leaf = key.split(".")
    here = fields
    for part in parents:
        nested = here.get(part)
        if nested is None:
            nested = here[part] = {}
        if not isinstance(nested, dict):
            raise ConfigError([f"'{key}={value}': '{part}' is not a section; nothing stands below it"])
        here = nested
    here[leaf] = value


def _describe(detail: ErrorDetails, source: str, overridden: Sequence[str]) -> str:
    """One pydantic error as one line: where, what, which value, and the nearest right name."""
    location = [part for part in detail["loc"] if isinstance(part, str) and not part.startswith("function-")]
    dotted = ".".join(location)
    where = "command line" if any(_overlap(dotted, key) for key in overridden) else source
    if detail["type"] == "extra_forbidden":
        section = _section(location[:-1])
        allowed = list(section.model_fields) if section else []
        return f"{where}: {dotted}: unknown key{nearest(location[-1], allowed)} Allowed: {', '.join(allowed)}"
    if any(isinstance(part, int) for part in detail["loc"]) and detail["type"] == "missing":
        return f"{where}: {dotted}: needs one entry more; `mobilenet-chest schema` shows its form"
    if detail["type"] == "missing":
        return f"{where}: {dotted}: missing; every experiment needs it"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{where}: {dotted + ': ' if dotted else ''}{message}"
    return f"{where}: {dotted}: {message[0].lower()}{message[1:]}, not {detail['input']!r}"


def _overlap(one: str, other: str) -> bool:
    """Whether one dotted path is the other or stands below it."""
    return one == other or one.startswith(other + ".") or (one != "" and other.startswith(one + "."))


def _section(location: Sequence[str]) -> type[BaseModel] | None:
    """The schema class at a path of section names; the entries of ``search`` are distributions."""
    if location and location[0] == "search":
        return Distribution if len(location) == 2 else None
    section: type[BaseModel] = Config
    for part in location:
        field = section.model_fields.get(part)
        # a section that may be null is a union
        kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
        nested = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if nested is None:
            return None
        section = nested
    return section


def _searchable_paths() -> list[str]:
    sections = {"seed": None} | {
        name: field.annotation
        for name, field in Config.model_fields.items()
        if name in {"data", "model", "augment", "loss", "optimizer", "stage1", "stage2", "evaluation"}
    }
    paths = []
    for name, section in sections.items():
        if section is None:
            paths.append(name)
        else:
            assert isinstance(section, type)
            assert issubclass(section, BaseModel)
            paths += [f"{name}.{field}" for field in section.model_fields]
    return paths


def _checked_search(config: Config, source: str) -> tuple[dict[str, Distribution], list[str]]:
    """The search space with its choices in the fields' own types, and every problem in it."""
    problems: list[str] = []
    allowed = _searchable_paths()
    for path, distribution in config.search.items():
        where = f"{source}: search.{path}"
        if path not in allowed:
            problems.append(
                f"{where}: no such field to search{nearest(path, allowed)} `mobilenet-chest schema` lists all"
            )
        for parent, value in distribution.when.items():
            condition = config.search.get(parent)
            if condition is None or condition.choices is None:
                problems.append(f"{where}: when: '{parent}' must itself be searched by choices")
            elif value not in condition.choices:
                problems.append(
                    f"{where}: when: {parent} is never {value!r}; its choices are {list(condition.choices)}"
                )
            elif condition.when:
                problems.append(f"{where}: when: '{parent}' is itself conditional; put its conditions here as well")
    if problems:
        return {}, problems
    for path, distribution in config.search.items():
        if distribution.choices is None and not _is_number_field(path):
            problems.append(f"{source}: search.{path}: takes names or fixed values, not a range; give choices")
    if problems:
        return {}, problems
    base = config.model_dump(mode="json", exclude={"search"})
    search = {path: _with_field_types(path, distribution, base) for path, distribution in config.search.items()}
    for path, distribution in search.items():
        if distribution.choices and len({repr(choice) for choice in distribution.choices}) < len(distribution.choices):
            problems.append(f"{source}: search.{path}: choices {list(distribution.choices)} holds a value twice")
    for values in itertools.islice(_corners(search), MOST_COMBINATIONS):
        fields = Config.model_validate(base).resolved()
        for path, value in values.items():
            _assign(fields, path, value)
        try:
            Config.model_validate(fields)
        except ValidationError as error:
            for detail in error.errors():
                shown = ", ".join(f"{path}={value}" for path, value in values.items())
                line = f"{source}: search: {_describe(detail, 'a combination', ())} ({shown})"
                if not any(line.split(" (")[0] == known.split(" (")[0] for known in problems):
                    problems.append(line)
    return search, problems


def _with_field_types(path: str, distribution: Distribution, base: Mapping[str, Any]) -> Distribution:
    """Choices as the field would hold them (YAML reads ``1e-3`` as text); left alone where the field refuses one."""
    if distribution.choices is None:
        return distribution
    typed = []
    for choice in distribution.choices:
        fields = Config.model_validate(base).resolved()
        _assign(fields, path, choice)
        try:
            value = flatten(Config.model_validate(fields).resolved())[path]
            typed.append(tuple(value) if isinstance(value, list) else value)
        except ValidationError:
            typed.append(choice)  # _corners reports it, with its conditions applied
    return distribution.model_copy(update={"choices": tuple(typed)})


def is_integer_field(path: str) -> bool:
    """Whether the field at a dotted path holds whole numbers."""
    return _field_type(path) in (int, int | None) or path == "stage2.unfreeze_from"


def _is_number_field(path: str) -> bool:
    return is_integer_field(path) or _field_type(path) in (float, float | None)


def _field_type(path: str) -> Any:
    *parents, leaf = path.split(".")
    section = _section(parents)
    return None if section is None else section.model_fields[leaf].annotation


def active(search: Mapping[str, Distribution], values: Mapping[str, Any]) -> Iterator[str]:
    """Paths of ``search`` whose ``when`` holds under ``values`` (which must cover the unconditional ones)."""
    for path, distribution in search.items():
        if all(values.get(parent) == wanted for parent, wanted in distribution.when.items()):
            yield path


def _corners(search: Mapping[str, Distribution]) -> Iterator[dict[str, Any]]:
    """Combinations of all choices, with every range at its low and then at its high end."""
    listed = {path: d.choices for path, d in search.items() if d.choices is not None}
    for combination in itertools.product(*listed.values()):
        for end in ("low", "high"):
            values = dict(zip(listed, combination, strict=True))
            values |= {path: _number(path, getattr(d, end)) for path, d in search.items() if d.choices is None}
            yield {path: values[path] for path in active(search, values)}


def _number(path: str, value: float) -> float | int:
    return int(value) if is_integer_field(path) and value == int(value) else value
