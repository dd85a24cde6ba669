"""Groups of commands that import a command when it is asked for, and its heavy imports when they are used.

Importing torch, MLflow and Optuna takes seconds, and ``--help`` needs none of them. So a command's file has ordinary
imports at its top, and a group imports the file under :func:`lazy_imports`: heavy names then behave as those of
``lazy from module import name`` in Python 3.15 (PEP 810). Constants, which are written in capitals, are imported at
once: a stand-in is no number and no key. Imported directly, the file behaves as any other.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

CLI = "mobilenet_chest.cli"

HEAVY = ("mobilenet_chest", "numpy", "torch")
"""What command files import lazily, but for :data:`LIGHT`."""

LIGHT = (CLI, "mobilenet_chest.errors", "mobilenet_chest.interrupts", "mobilenet_chest.logs")

SETTINGS: dict[str, Any] = {"add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False}


class LazyName:
    """Stands for an imported module, function or class until it is called, compared with a type, or read from."""

    def __init__(self, module: str, name: str | None) -> None:
        self._module, self._name = module, name

    def _load(self) -> Any:
        module = import_module(self._module)
        if self._name is None:
            return module
        try:
            return getattr(module, self._name)
        except AttributeError:  # as in an ordinary import: a name of the module, else a module of the package
            return import_module(f"{self._module}.{self._name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._load()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load(), name)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._load())


class _Names:
    """What ``from module import name`` takes its names from."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._module), name) if name.isupper() else LazyName(self._module, name)


@contextmanager
def lazy_imports() -> Iterator[None]:
    """Make heavy imports of command files lazy within the block; imports of all other modules stay as they are."""
    ordinary = builtins.__import__

    def lazy(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        importer = (globals or {}).get("__name__", "")
        if not importer.startswith(f"{CLI}.") or level or not _is_heavy(name):
            return ordinary(name, globals, locals, fromlist, level)
        return _Names(name) if fromlist else LazyName(name, None)

    builtins.__import__ = lazy
    try:
        yield
    finally:
        builtins.__import__ = ordinary


def _is_heavy(module: str) -> bool:
    return module.partition(".")[0] in HEAVY and not any(f"{module}.".startswith(f"{light}.") for light in LIGHT)


def load_command(module: str) -> Any:
    """Return the click command that a module of :mod:`mobilenet_chest.cli` defines.

    Args:
        module: Full name of a module with a function of its own last name, or of a package with a ``group``. A last
            name that Python keeps for itself has an underscore behind it in both, as ``import_`` has.
    """
    name = module.rpartition(".")[2]
    kept = "_" if keyword.iskeyword(name) else ""
    with lazy_imports():
        loaded = import_module(module + kept)
    if isinstance(group := getattr(loaded, "group", None), typer.Typer):
        return get_command(group)
    single = typer.Typer(**SETTINGS)
    single.command(name)(getattr(loaded, name + kept))
    return get_command(single)


class LazyGroup(TyperGroup):
    """A click group of which the names and summaries are known, and the commands are imported when asked for."""

    package: ClassVar[str]
    summaries: ClassVar[Mapping[str, str]]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # names without commands: typer suggests one of them for a name that is misspelt
        self.commands = cast(Any, dict.fromkeys(self.summaries))

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        return list(self.summaries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; ``None`` when there is none of that name."""
        return load_command(f"{self.package}.{cmd_name}") if cmd_name in self.summaries else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands from their summaries, so that ``--help`` imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))


def lazy_group(package: str, help: str, commands: Mapping[str, str]) -> typer.Typer:
    """Return a typer application of commands that are imported when they are asked for.

    Args:
        package: Where the commands' modules are.
        help: What the group is for.
        commands: The first line of each command's docstring by its name, which is its module's as well.
    """
    group = type("Group", (LazyGroup,), {"package": package, "summaries": commands})
    return typer.Typer(cls=group, callback=_no_options, no_args_is_help=True, help=help, **SETTINGS)


def _no_options() -> None:
    """Take no options: typer makes a group only of what has commands or a callback."""
