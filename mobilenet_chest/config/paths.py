"""Dotted paths of fields, such as ``stage2.lr``: setting, flattening, and the type of the field at a path."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from mobilenet_chest import plugins
from mobilenet_chest.config.schema import Config
from mobilenet_chest.config.search import Distribution
from mobilenet_chest.errors import ConfigError

SEARCHABLE_SECTIONS = ("data", "model", "augment", "loss", "optimizer", "stage1", "stage2", "compress", "evaluation")

NOT_SEARCHED = ("compress.parent", "compress.weights_sha256", "compress.target", "compress.reached")
"""Fields of these sections that are the same in all trials: a parent and its weights go together, and so do a target
and what reaches it."""

CUSTOM = "augment.custom."
"""What the paths of plugins' augmentations begin with; their values are numbers."""


def assign(fields: dict[str, Any], path: str, value: Any) -> None:
    """Set ``fields[a][b] = value`` for the path ``a.b``.

    Below ``search`` the key is a path itself and keeps its dots: ``search.stage2.lr`` sets ``search["stage2.lr"]``.

    Raises:
        ConfigError: The path leads through a value that is no section.
    """
    if path.startswith("search."):
        parents, leaf = ["search"], path.removeprefix("search.")
    else:
        *parents, leaf = path.split(".")
    section = fields
    for parent in parents:
        nested = section.get(parent)
        if nested is None:
            nested = section[parent] = {}
        if not isinstance(nested, dict):
            raise ConfigError([f"'{path}={value}': '{parent}' is not a section, so it has no '{leaf}'"])
        section = nested
    section[leaf] = value


def flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one mapping of dotted paths; lists and scalars are leaves."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def overlap(first: str, second: str) -> bool:
    """Return whether two paths are equal, or one is a section that contains the other."""
    return first == second or first.startswith(second + ".") or (first != "" and second.startswith(first + "."))


def section_at(names: Sequence[str]) -> type[BaseModel] | None:
    """Return the class of the section at a path of section names, or ``None``; entries of ``search`` are
    distributions."""
    if names and names[0] == "search":
        return Distribution if len(names) == 2 else None
    section: type[BaseModel] = Config
    for name in names:
        field = section.model_fields.get(name)
        # a section that may be null is a union
        kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
        nested = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if nested is None:
            return None
        section = nested
    return section


def searchable_paths() -> list[str]:
    """Return the paths of all fields that a sweep may search."""
    paths = ["seed"]
    for name in SEARCHABLE_SECTIONS:
        section = section_at([name])
        assert section is not None
        for field in section.model_fields:
            inner = section_at([name, field])
            paths += [f"{name}.{field}"] if inner is None else [f"{name}.{field}.{leaf}" for leaf in inner.model_fields]
    paths = [path for path in paths if not any(overlap(path, same) for same in NOT_SEARCHED)]
    return [*paths, *(f"{CUSTOM}{name}" for name in plugins.names("augmentation"))]


def is_integer_field(path: str) -> bool:
    """Return whether the field at a path holds whole numbers."""
    return _field_type(path) in (int, int | None) or path == "stage2.unfreeze_from"


def is_number_field(path: str) -> bool:
    """Return whether the field at a path holds numbers."""
    return path.startswith(CUSTOM) or is_integer_field(path) or _field_type(path) in (float, float | None)


def _field_type(path: str) -> Any:
    *parents, leaf = path.split(".")
    section = section_at(parents)
    field = None if section is None else section.model_fields.get(leaf)  # a study of another version has other fields
    return None if field is None else field.annotation


def elsewhere(name: str, allowed: Container[str] | None = None) -> str:
    """Return ``"; did you mean 'stage1.lr' or 'stage2.lr'?"`` for the fields of a name, or an empty string without any.

    Args:
        name: What was written without its section, or in another one.
        allowed: Paths that may stand there; by default all.
    """
    paths = [repr(path) for path in paths_named(name) if allowed is None or path in allowed]
    return f"; did you mean {' or '.join(paths)}?" if paths else ""


def paths_named(name: str, section: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Return the paths of the fields with a name, in all sections: ``lr`` is ``stage1.lr`` and ``stage2.lr``."""
    paths = []
    for field in section.model_fields:
        path = f"{prefix}{field}"
        nested = section_at(path.split("."))
        if field == name:
            paths.append(path)
        elif nested is not None and nested is not section:
            paths += paths_named(name, nested, f"{path}.")
    return paths
