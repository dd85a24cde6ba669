"""Plugins: augmentations, metrics and models of the user's own, registered by functions of a file on this machine.

An experiment names the file, ``plugins: [my_module.py]``; loading the experiment runs it. A plugin is known by the
SHA-256 of its file. Code is only ever taken from a file that the user names on this machine: in an experiment file that
is loaded, or in ``$MOBILENET_CHEST_PLUGINS``. A stored experiment carries path and digest of its plugins, and never
causes a file to be run: its plugins are absent unless the same file, by digest, was named here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from mobilenet_chest.errors import ConfigError, PluginFailed
from mobilenet_chest.plugin_source import Contents, raised, read_contents

VARIABLE = "MOBILENET_CHEST_PLUGINS"
"""Files that the user names for stored experiments, separated as in ``PATH``."""

Kind = Literal["augmentation", "metric", "model"]

PARAMETERS: dict[Kind, tuple[str, ...]] = {
    "augmentation": ("images", "strength"),
    "metric": ("labels", "probabilities"),
    "model": ("pretrained",),
}
"""What the function of each kind is called with, by position."""

NAMES: dict[Kind, str] = {
    "augmentation": r"[a-z][a-z0-9_]{0,59}",
    "metric": r"val_[a-z0-9_]{1,56}",
    "model": r"[a-z][a-z0-9_]{0,59}",
}

F = TypeVar("F", bound=Callable[..., Any])


class Entry(Protocol):
    """A plugin as an experiment has it."""

    @property
    def path(self) -> Path: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class Plugin:
    """A file that was run.

    Attributes:
        path: The file.
        contents: Its bytes, as they were run.
        sha256: Digest of its contents, in hex.
        functions: What it registers, by kind and name.
    """

    path: Path
    contents: bytes
    sha256: str
    functions: dict[Kind, dict[str, Callable[..., Any]]] = field(default_factory=dict)

    def summary(self) -> str:
        """Return file, digest and names in one line."""
        names = [f"{kind} {name}" for kind, functions in self.functions.items() for name in functions]
        return f"{self.path} (sha256 {self.sha256[:12]}): {', '.join(names)}"


_loaded: dict[str, Plugin] = {}
"""Every file that this process has run, by digest: an edited file is another plugin."""

_active: list[Plugin] = []
_absent: list[Entry] = []
"""Plugins of the experiment that is at work here: those that were run, and those that were not named here."""

_running: list[Plugin] = []
"""The file that is being run; decorators do nothing but outside of one."""


def register_augmentation(name: str) -> Callable[[F], F]:
    """Register a random change to training images, ``augment: {custom: {NAME: STRENGTH}}``.

    The function takes ``images``, float32 (n, c, h, w) of 0 to 255 on the training device, and ``strength``, a number
    above 0, and returns images of the same shape. Its random numbers come from torch's global generators: then a
    resumed training equals an uninterrupted one.
    """
    return _register("augmentation", name)


def register_metric(name: str) -> Callable[[F], F]:
    """Register a metric of the validation split, ``val_…``; a greater value is better.

    The function takes ``labels``, uint8 (n,) of 0 and 1, and ``probabilities`` of class 1 without TTA, float64 (n,),
    and returns a number. It must be a function of these alone: the bootstrap calls it for resampled images.
    """
    return _register("metric", name)


def register_model(name: str) -> Callable[[F], F]:
    """Register a backbone, ``model: {name: NAME}``.

    The function takes ``pretrained``, whether ``model.weights`` is ``imagenet``, and returns a ``torch.nn.Module`` that
    maps float32 (n, 3, h, w) to features (n, f); or a :class:`~mobilenet_chest.models.classifier.Backbone`.
    """
    return _register("model", name)


def _register(kind: Kind, name: str) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        if not _running:  # imported by the user's own tests, say: an experiment that names the file registers it
            return function
        if not isinstance(name, str) or not re.fullmatch(NAMES[kind], name):
            form = "val_ and then lower-case letters" if kind == "metric" else "lower-case letters"
            raise ConfigError([f"{kind} {name!r}: a name is {form}, digits and _"])
        registered = _running[-1].functions.setdefault(kind, {})
        if name in registered:
            raise ConfigError([f"{kind} '{name}' is registered twice; give another name"])
        words = ", ".join(PARAMETERS[kind])
        try:
            inspect.signature(function).bind(*PARAMETERS[kind])
        except (TypeError, ValueError):
            raise ConfigError([f"{kind} '{name}': its function must take ({words})"]) from None
        registered[name] = function
        return function

    return decorate


def load_file(path: Path, sha256: str | None = None) -> Plugin:
    """Run a file that the user has named on this machine, unless this process has run the same contents before.

    Args:
        path: The file.
        sha256: Digest that its contents must have, if any.

    Raises:
        ConfigError: It cannot be read, has other contents, or fails; the message is one line.
    """
    contents = read_contents(path)
    digest = hashlib.sha256(contents).hexdigest()
    if sha256 is not None and digest != sha256:
        raise ConfigError(
            [
                f"plugins: {path} has changed (sha256 {digest[:12]}, the experiment was made with {sha256[:12]}); "
                "restore the file, or name it by its path alone"
            ]
        )
    if (known := _loaded.get(digest)) is not None:
        return known
    plugin = Plugin(path, contents, digest)
    _run(plugin)
    if not plugin.functions:
        raise ConfigError([f"plugins: {path} registers nothing; use register_augmentation, _metric or _model in it"])
    return _loaded.setdefault(digest, plugin)


def _run(plugin: Plugin) -> None:
    """Run a plugin's file as a module of a name of its own; what it registers is then in ``plugin.functions``."""
    name = f"mobilenet_chest_plugin_{plugin.sha256[:16]}"
    spec = importlib.util.spec_from_loader(name, Contents(plugin.path, plugin.contents), origin=str(plugin.path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look classes up there
    _running.append(plugin)
    try:
        spec.loader.exec_module(module)
    except ConfigError as error:
        raise ConfigError([f"plugins: {plugin.path}: {line}" for line in error.problems]) from None
    except SyntaxError as error:
        raise ConfigError([f"plugins: {plugin.path}: line {error.lineno}: {error.msg}"]) from error
    except (Exception, SystemExit) as error:
        raise ConfigError([f"plugins: {plugin.path}: {raised(error, plugin.path)}"]) from error
    finally:
        _running.pop()
        if not plugin.functions:
            sys.modules.pop(name, None)


def activate(entries: Sequence[Entry], named: bool = False) -> None:
    """Make the plugins of an experiment those at work in this process, in place of any other's.

    Args:
        entries: The experiment's.
        named: The user has named them on this machine, so that files not run yet may be run. Without it, such a plugin
            is absent.

    Raises:
        ConfigError: A file cannot be run, or two register the same name.
    """
    found = [(entry, _find(entry, named)) for entry in entries]
    _active[:] = [plugin for _, plugin in found if plugin is not None]
    _absent[:] = [entry for entry, plugin in found if plugin is None]
    check_names(_active)


@contextmanager
def using(entries: Sequence[Entry]) -> Iterator[None]:
    """Have the plugins of an experiment at work in the block, as far as they were named here; then those of before."""
    before = list(_active), list(_absent)
    try:
        activate(entries)
        yield
    finally:
        _active[:], _absent[:] = before


def files_named() -> list[Path]:
    """Return the files that the user names in ``$MOBILENET_CHEST_PLUGINS``, which need not be there."""
    named = filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))
    return [Path(text).expanduser().absolute() for text in named]


def loaded(entry: Entry) -> Plugin | None:
    """Return the plugin of an experiment, if this process has run it."""
    return _loaded.get(entry.sha256)


def _find(entry: Entry, named: bool) -> Plugin | None:
    if (known := loaded(entry)) is not None:
        return known
    if named:
        return load_file(entry.path, entry.sha256)
    for path in files_named():
        if hashlib.sha256(read_contents(path)).hexdigest() == entry.sha256:
            return load_file(path, entry.sha256)
    return None


def check_names(plugins: Sequence[Plugin]) -> None:
    """Check that no two plugins register the same name.

    Raises:
        ConfigError: Two do.
    """
    owners: dict[tuple[Kind, str], Plugin] = {}
    for plugin in plugins:
        for kind, functions in plugin.functions.items():
            for name in functions:
                if (other := owners.setdefault((kind, name), plugin)) is not plugin:
                    raise ConfigError(
                        [f"plugins: {kind} '{name}' is registered by {other.path} and {plugin.path}; rename one"]
                    )


def active() -> tuple[Plugin, ...]:
    """Return the plugins at work."""
    return tuple(_active)


def names(kind: Kind) -> list[str]:
    """Return the names that the plugins at work have registered."""
    return [name for plugin in _active for name in plugin.functions.get(kind, {})]


def may_be(kind: Kind, name: str) -> bool:
    """Return whether a name is registered, or could be by a plugin that was not named here."""
    return name in names(kind) or (bool(_absent) and re.fullmatch(NAMES[kind], name) is not None)


def owner(kind: Kind, name: str) -> Plugin | None:
    """Return the plugin at work that has registered a name."""
    return next((plugin for plugin in _active if name in plugin.functions.get(kind, {})), None)


def call(kind: Kind, name: str, *values: Any) -> Any:
    """Return what a registered function returns.

    Raises:
        ConfigError: Its plugin was not named on this machine.
        PluginFailed: It raised.
    """
    plugin = owner(kind, name)
    if plugin is None:
        require()
        raise ConfigError([f"no plugin registers {kind} '{name}'"])
    try:
        return plugin.functions[kind][name](*values)
    except Exception as error:
        raise PluginFailed(f"plugin {plugin.path}: {kind} '{name}' {raised(error, plugin.path)}") from error


def require() -> None:
    """Check that no plugin is absent.

    Raises:
        ConfigError: One is; the message says how to name it.
    """
    if _absent:
        entry = _absent[0]
        raise ConfigError(
            [
                f"the experiment needs the plugin {entry.path.name} (sha256 {entry.sha256[:12]}), which is code and "
                f"never taken from a run; name the same file: set {VARIABLE}={entry.path}"
            ]
        )
