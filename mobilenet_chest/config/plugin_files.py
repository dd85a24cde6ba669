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
            plugin = run_file(Path(path).expanduser().absolute(), sha256)
            named.append({"path": str(Path(path).expanduser().absolute()), "sha256": plugin.sha256})
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    fields["plugins"] = named


def run_file(path: Path, sha256: str | None = None) -> plugins.Plugin:
    """Run a file that the user names, as :func:`~mobilenet_chest.plugins.load_file`, and return its plugin.

    Raises:
        ConfigError: It cannot be run, or registers a name that belongs to the package.
    """
    plugin = plugins.load_file(path, sha256)
    if taken := _taken(plugin):
        raise ConfigError(taken)
    return plugin


def run_variable() -> list[plugins.Plugin]:
    """Run the files that the user names in ``$MOBILENET_CHEST_PLUGINS``, and return their plugins.

    Raises:
        ConfigError: One cannot be run, or two register the same name.
    """
    by_digest = {plugin.sha256: plugin for plugin in map(run_file, plugins.files_named())}
    named = [*by_digest.values()]
    plugins.check_names(named)
    return named


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
