"""The list of commands, and how fast help answers."""

from __future__ import annotations

import inspect
import json
import keyword
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from helpers.commands import ROOT, quickest, run, start

import mobilenet_chest
from mobilenet_chest.cli import app, cache, data, studies, study
from mobilenet_chest.cli.lazy import load_command

HEAVY = ["torch", "mlflow", "optuna", "pandas"]
GROUPS = {"": app.COMMANDS, "data": data.COMMANDS, "cache": cache.COMMANDS, "study": study.COMMANDS,
          "studies": studies.COMMANDS}  # fmt: skip
COMMANDS = [f"{group} {name}".strip() for group, commands in GROUPS.items() for name in commands]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_summary_is_the_first_line_of_the_help(command: str) -> None:
    group, _, name = command.rpartition(" ")
    in_python = f"{name}_" if keyword.iskeyword(name) else name
    module = import_module(f"mobilenet_chest.cli.{command.replace(' ', '.').removesuffix(name)}{in_python}")
    target = getattr(module, in_python, None)
    text = module.group.info.help if target is None else inspect.getdoc(target)
    assert str(text).partition("\n")[0] == GROUPS[group][name]


def test_every_file_of_a_command_is_listed() -> None:
    folder = Path(mobilenet_chest.__file__).parent / "cli"
    shared = {"__init__", "app", "dry_run", "encoding", "errors", "format", "lazy", "leaderboard", "live", "options"}
    shared |= {"cohort_table", "logged_report", "program", "progress_view", "tables", "typed", "usage", "wrapping"}
    files = {path.stem for path in folder.glob("*.py")} - shared
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert files | packages == set(app.COMMANDS)
    for package in packages:
        inner = {path.stem.removesuffix("_") for path in (folder / package).glob("*.py")} - {"__init_"}
        assert inner == set(GROUPS[package])


def test_the_app_lists_its_commands_in_order() -> None:
    text = run("--help").stdout.partition("Run:\n")[2]
    assert [line.split()[0] for line in text.splitlines() if re.match(r"  \S", line)] == list(app.COMMANDS)
    assert list(app.COMMANDS)[:6] == ["sweep", "train", "compare", "report", "promote", "predict"]
    headings = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert ["Run", *headings] == list(app.SECTIONS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_an_example_that_can_be_typed(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    if command in ("data", "cache", "study", "studies"):
        return
    lines = [line.strip() for line in run(*command.split(), "--help").stdout.splitlines()]
    (example,) = [line for line in lines if line.startswith("Example: ")]
    words = shlex.split(example.removeprefix("Example: ").partition(" > ")[0])
    start, typed = ["mobilenet-chest", *command.split()], words[len(command.split()) + 1 :]
    assert words == [*start, *typed]
    module = f"mobilenet_chest.cli.{command.replace(' ', '.')}"
    load_command(module).make_context(command, typed)  # this parses, and runs nothing


@pytest.mark.parametrize(("arguments", "nearest"), [(["swep"], "sweep"), (["data", "infos"], "info")])
def test_a_misspelt_command_names_the_nearest(arguments: list[str], nearest: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"'{nearest}'" in result.stderr


FRONT_DOORS = ["", *COMMANDS, "sweep.py", "train.py"]


@pytest.mark.parametrize("command", FRONT_DOORS)
def test_help_answers_at_once(folder: Path, command: str) -> None:
    front = [ROOT / command] if command.endswith(".py") else ["-m", "mobilenet_chest", *command.split()]

    def shown() -> None:
        result = start(*front, "--help", cwd=folder)
        assert (result.returncode, result.stderr) == (0, "")
        assert "Usage: " in result.stdout

    limit = 0.5 if command else 0.3
    assert quickest(shown, limit) < limit


def test_help_imports_nothing_heavy(folder: Path) -> None:
    """One process for all commands: what one imports stays."""
    script = (
        "import json, sys\n"
        "from mobilenet_chest.cli.app import app\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    try:\n"
        "        app([*command.split(), '--help'])\n"
        "    except SystemExit as end:\n"
        "        assert end.code == 0, command\n"
        "print(json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]))\n"
    )
    result = start(
        "-c", script, json.dumps(["", *COMMANDS]), json.dumps([*HEAVY, "numpy", "pydantic", "yaml"]), cwd=folder
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == []


def test_imports_are_not_walked_by_collections(folder: Path) -> None:
    script = (
        "import gc\n"
        "from mobilenet_chest.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    import mlflow\n"
        "    print(gc.get_stats()[2]['collections'])\n"
    )
    result = start("-c", script, "--version", cwd=folder)
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "0"), result.stderr


def test_without_a_command_the_help_is_shown() -> None:
    result = run()
    assert result.exit_code == 2
    assert all(f"  {name} " in result.output for name in app.COMMANDS)
