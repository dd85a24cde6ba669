"""The field ``plugins``: files of the user's own code, each with the digest of its contents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from mobilenet_chest import plugins
from mobilenet_chest.config.metrics import METRICS, Metric, describe
from mobilenet_chest.config.section import Section
from mobilenet_chest.errors import ConfigError


class PluginFile(Section):
    """A plugin as a resolved experiment has it."""

    path: Path = Field(description="The file.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its contents; a changed file is refused.")


Named = Annotated[PluginFile, BeforeValidator(lambda value: value, json_schema_input_type=str | PluginFile)]
"""A plugin as a file names it: its path alone, or with a digest."""


def relative_to(folder: Path, fields: dict[str, Any]) -> None:
    """Make the paths of plugins in a file's fields relative to the file's folder, in place."""
    if "plugins" in fields:
        fields["plugins"] = [
            entry if not isinstance(entry, str) else str(folder / Path(entry).expanduser())
            for entry in _listed(fields["plugins"])
        ]


def run_named(fields: dict[str, Any]) -> None:
    """Run the plugins that the user names, and write their digests into the fields, in place.

    Raises:
        ConfigError: With the problems of all of them.
    """
    if not fields.get("plugins"):
        return
    named, problems = [], list[str]()
    for entry in _listed(fields["plugins"]):
        path, sha256 = (entry.get("path"), entry.get("sha256")) if isinstance(entry, Mapping) else (entry, None)
        if not isinstance(path, str | Path) or not str(path).isprintable() or (sha256 and not isinstance(sha256, str)):
            problems.append(f"plugins: must be a list of Python files, not {entry!r}")
            continue
        try:
            plugin = plugins.load_file(Path(path).expanduser().absolute(), sha256)
            named.append({"path": str(Path(path).expanduser().absolute()), "sha256": plugin.sha256})
            problems += _taken(plugin)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    fields["plugins"] = named


def named_in(fields: Mapping[str, Any]) -> list[PluginFile]:
    """Return the plugins of an experiment's fields; none where they are not valid, which the schema reports."""
    try:
        return [PluginFile.model_validate(entry) for entry in fields.get("plugins") or ()]
    except (ValidationError, TypeError):
        return []


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _taken(plugin: plugins.Plugin) -> list[str]:
    """Return which of a plugin's names belong to the package."""
    from mobilenet_chest.config.schema import MODEL_NAMES

    taken = [f"model '{name}'" for name in plugin.functions.get("model", {}) if name in MODEL_NAMES]
    taken += [
        f"metric '{name}'"
        for name in plugin.functions.get("metric", {})
        if name in METRICS or describe(name) != Metric(name)
    ]
    return [f"plugins: {plugin.path}: {what} exists already; give it another name" for what in taken]
