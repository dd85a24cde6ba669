"""Groups of commands that import a command when it is asked for, and its heavy imports when they are used.

Importing torch, MLflow and Optuna takes seconds, and ``--help`` needs none of them. So a command's file has ordinary
imports at its top, and a group imports the file under :func:`lazy_imports`: heavy names then behave as those of
``lazy from module import name`` in Python 3.15 (PEP 810). Constants, which are written in capitals, are imported at
once: a stand-in is no number and no key. Imported directly, the file behaves as any other.
"""

from __future__ import annotations

import builtins
import keyword
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mobilenet_chest import logs
from mobilenet_chest.cli.program import hidden_options
from mobilenet_chest.cli.usage import wrong_usage

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
        command = get_command(group)
    else:
        single = typer.Typer(**SETTINGS)
        single.command(name, cls=LazyCommand)(getattr(loaded, name + kept))
        command = get_command(single)
    command.params += hidden_options()
    return command


class ConvertsWhatIsGiven:
    """Leaves parameters alone that were not given, and all of them while a shell completes a line.

    Typer imports pydantic as soon as it converts one value, even ``None``: half of what a help or a completion takes.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of a command, those of the help and of the completion with them."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]  # a command of click is the next class
        for parameter in parameters:
            if not isinstance(parameter.process_value, partial):
                parameter.process_value = partial(_process, parameter, parameter.process_value)
        return parameters


def _process(parameter: Any, ordinary: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    optional = not (parameter.required or parameter.multiple or parameter.nargs == -1)
    return value if ctx.resilient_parsing or (optional and value is None) else ordinary(ctx, value)


class SaysInOneLine:
    """Says in one line what is wrong with a command line, as everything else is said, and exits with code 2."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the arguments of a command."""
        command = f"{parent.command_path} {info_name}" if parent is not None else str(info_name)
        with wrong_usage(command, extra.get("resilient_parsing", False)):
            return super().make_context(info_name, args, parent=parent, **extra)  # type: ignore[misc]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that a group's arguments name."""
        with wrong_usage(ctx.command_path, ctx.resilient_parsing):
            return super().resolve_command(ctx, args)  # type: ignore[misc]  # of groups alone


class LazyCommand(SaysInOneLine, ConvertsWhatIsGiven, TyperCommand):
    """A click command that converts only the values it was given."""


class LazyGroup(SaysInOneLine, ConvertsWhatIsGiven, TyperGroup):
    """A click group of which the names and summaries are known, and the commands are imported when asked for."""

    package: ClassVar[str]
    sections: ClassVar[Mapping[str, Mapping[str, str]]]
    summaries: ClassVar[Mapping[str, str]]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._completing = False
        # names without commands: typer suggests one of them for a name that is misspelt
        self.commands = cast(Any, dict.fromkeys(self.summaries))

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        return list(self.summaries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; ``None`` when there is none of that name."""
        if cmd_name not in self.summaries:
            return None
        if self._completing:
            return TyperCommand(cmd_name, help=self.summaries[cmd_name])
        return load_command(f"{self.package}.{cmd_name}")

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Return what a shell offers for the beginning of a name; the commands are not imported for it."""
        self._completing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._completing = False

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Begin with the log as it is without options: several command lines may run in one process."""
        if ctx.parent is None and not ctx.resilient_parsing:
            logs.show(logging.INFO)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of commands from their summaries, so that ``--help`` imports none of them."""
        width = max(map(len, self.summaries))  # the same in all sections
        for heading, summaries in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in summaries.items()])


def _no_options() -> None:
    """Take no options: typer makes a group only of what has commands or a callback."""


def lazy_group(
    package: str,
    help: str,
    sections: Mapping[str, Mapping[str, str]],
    options: Callable[..., None] = _no_options,
    completion: bool = False,
) -> typer.Typer:
    """Return a typer application of commands that are imported when they are asked for.

    Args:
        package: Where the commands' modules are.
        help: What the group is for.
        sections: The parts of the list in the help, each with its heading: the first line of each command's docstring
            by its name, which is its module's as well.
        options: A function whose parameters are the group's own options.
        completion: Whether it has options that install the completion of a shell.
    """
    summaries = {name: summary for section in sections.values() for name, summary in section.items()}
    group = type("Group", (LazyGroup,), {"package": package, "sections": sections, "summaries": summaries})
    settings = SETTINGS | {"add_completion": completion}
    return typer.Typer(cls=group, callback=options, no_args_is_help=True, help=help, **settings)
