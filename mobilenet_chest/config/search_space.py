"""The search space, checked against the schema: paths, types, and combinations of values."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from mobilenet_chest import plugins
from mobilenet_chest.config.paths import (
    CUSTOM,
    assign,
    elsewhere,
    flatten,
    is_integer_field,
    is_number_field,
    searchable_paths,
)
from mobilenet_chest.config.problems import problem
from mobilenet_chest.config.schema import Config
from mobilenet_chest.config.search import Choice, Distribution
from mobilenet_chest.errors import ConfigError, nearest

MOST_COMBINATIONS = 256
"""Number of combinations of a search space that are checked against the schema: the first ones."""


def check_search(config: Config, source: str) -> dict[str, Distribution]:
    """Return the search space with its choices in the fields' own types.

    Args:
        config: The experiment.
        source: Where it is from, for messages.

    Raises:
        ConfigError: With all problems that can be seen together.
    """
    # a range can only be checked for a field that exists
    if lines := _path_problems(config) or _range_problems(config):
        raise ConfigError([f"{source}: search.{line}" for line in lines])
    base = config.model_dump(mode="json", exclude={"search"})
    search = {path: _with_field_types(path, distribution, base) for path, distribution in config.search.items()}
    if lines := _condition_problems(search):
        raise ConfigError([f"{source}: search.{line}" for line in lines])
    problems = [
        f"{source}: search.{path}: choices {list(distribution.choices)} holds a value twice; remove one"
        for path, distribution in search.items()
        if distribution.choices and len({repr(choice) for choice in distribution.choices}) < len(distribution.choices)
    ]
    problems += [f"{source}: search.{line}" for line in _prior_problems(search, config.study.sampler)]
    problems += [f"{source}: search: {line}" for line in _combination_problems(search, base)]
    if problems:
        raise ConfigError(problems)
    return search


def active(search: Mapping[str, Distribution], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of ``search`` whose conditions hold.

    Args:
        search: The search space.
        values: Path -> value, of all fields that are searched without a condition.
    """
    for path, distribution in search.items():
        if all(values.get(parent) == required for parent, required in distribution.when.items()):
            yield path


def _path_problems(config: Config) -> list[str]:
    """Return which paths are no fields to search."""
    problems: list[str] = []
    allowed = searchable_paths()
    for path in config.search:
        custom = path.startswith(CUSTOM) and plugins.may_be("augmentation", path.removeprefix(CUSTOM))
        if path not in allowed and not custom:
            hint = elsewhere(path.rpartition(".")[2], allowed) or nearest(path, allowed) or ";"
            problems.append(f"{path}: no such field to search{hint} `mobilenet-chest schema` lists all")
    return problems


def _condition_problems(search: Mapping[str, Distribution]) -> list[str]:
    problems: list[str] = []
    for path, distribution in search.items():
        for parent, value in distribution.when.items():
            condition = search.get(parent)
            if condition is None or condition.choices is None:
                problems.append(f"{path}: when: '{parent}' must itself be searched by choices; add search.{parent}")
            elif value not in condition.choices:
                choices = list(condition.choices)
                problems.append(f"{path}: when: {parent} is never {value!r}; its choices are {choices}")
            elif condition.when:
                problems.append(f"{path}: when: '{parent}' is itself conditional; put its conditions here as well")
    return problems


def _range_problems(config: Config) -> list[str]:
    """Return which ranges their fields cannot take."""
    problems = []
    for path, distribution in config.search.items():
        if distribution.choices is not None:
            continue
        if not is_number_field(path):
            problems.append(
                f"{path}: the field takes names or fixed values, so a range cannot be searched; give choices"
            )
        elif is_integer_field(path):
            for name in ("low", "high", "step", "prior"):
                value = getattr(distribution, name)
                if value is not None and value != int(value):
                    whole = max(1, round(value)) if name == "step" else round(value)
                    problems.append(
                        f"{path}: {name} {value:g} is not a whole number, and the field takes whole numbers only; "
                        f"write {name}: {whole}"
                    )
    return problems


def _prior_problems(search: Mapping[str, Distribution], sampler: str) -> Iterator[str]:
    """Yield which priors are no choices, or cannot be followed."""
    for path, distribution in search.items():
        if distribution.prior is None:
            continue
        if distribution.choices is not None and distribution.prior not in distribution.choices:
            yield f"{path}: prior {distribution.prior!r} is no choice; allowed: {list(distribution.choices)}"
        elif sampler == "grid":
            yield f"{path}: sampler grid tries every combination once, so a prior changes nothing; remove prior"


def _combination_problems(search: Mapping[str, Distribution], base: Mapping[str, Any]) -> list[str]:
    """Return each problem of the first combinations once, with the values of the first combination that has it."""
    problems: dict[str, str] = {}
    for values in itertools.islice(_corners(search), MOST_COMBINATIONS):
        try:
            Config.model_validate(_with_values(base, values))
        except ValidationError as error:
            shown = ", ".join(f"{path}={value}" for path, value in values.items())
            for detail in error.errors():
                line = problem(detail, "a combination")
                problems.setdefault(line, f"{line} ({shown})")
    return list(problems.values())


def _with_values(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    fields = Config.model_validate(base).resolved()
    for path, value in values.items():
        assign(fields, path, value)
    return fields


def _with_field_types(path: str, distribution: Distribution, base: Mapping[str, Any]) -> Distribution:
    """Return a distribution with its choices, and the values of its conditions, as their fields hold them.

    A field takes the quoted number ``"1e-3"`` as 0.001, and so a condition on it has to be compared as a number too.
    """
    typed: dict[str, Any] = {
        "when": {parent: _as_field_holds(parent, value, base) for parent, value in distribution.when.items()}
    }
    if distribution.choices is not None:
        typed["choices"] = tuple(_as_field_holds(path, choice, base) for choice in distribution.choices)
    if distribution.prior is not None:
        typed["prior"] = _as_field_holds(path, distribution.prior, base)
    return distribution.model_copy(update=typed)


def _as_field_holds(path: str, choice: Choice, base: Mapping[str, Any]) -> Choice:
    try:
        value = flatten(Config.model_validate(_with_values(base, {path: choice})).resolved())[path]
    except (ValidationError, ConfigError, KeyError):
        return choice  # the problems of combinations and conditions name it
    return tuple(value) if isinstance(value, list) else value


def _corners(search: Mapping[str, Distribution]) -> Iterator[dict[str, Any]]:
    """Yield the combinations of all choices, with every range at its low end and then at its high end."""
    listed = {path: d.choices for path, d in search.items() if d.choices is not None}
    for combination in itertools.product(*listed.values()):
        for end in ("low", "high"):
            values = dict(zip(listed, combination, strict=True))
            values |= {path: _number(path, getattr(d, end)) for path, d in search.items() if d.choices is None}
            yield {path: values[path] for path in active(search, values)}


def _number(path: str, value: float) -> float | int:
    return int(value) if is_integer_field(path) and value == int(value) else value
