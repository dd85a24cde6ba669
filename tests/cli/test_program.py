"""Options of the whole program: version, what is said and where, shell completion, colours."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import quickest, run

import mobilenet_chest
from mobilenet_chest import logs
from mobilenet_chest.cli import docs as module
from mobilenet_chest.cli.format import err
from mobilenet_chest.errors import DataError

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d|10\d)(?:;\d+)*m")
"""A terminal's sign for a colour; bold and italics are none."""


def start(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process of its own."""
    command = [sys.executable, "-m", "mobilenet_chest", *words]
    environment = os.environ | variables
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("words", [["--version"], ["sweep", "--version"], ["data", "info", "--version"]])
def test_the_version(words: list[str]) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (0, f"mobilenet-chest {mobilenet_chest.__version__}\n")


@pytest.fixture
def speaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """``docs`` logs on all levels, shows progress and then fails."""

    def fail() -> list[object]:
        logger = logging.getLogger("mobilenet_chest.data")
        logger.debug("a detail")
        logger.info("in passing")
        logger.warning("to act on")
        err.print("epoch 1")
        raise DataError("wrong rows")

    monkeypatch.setattr(module, "_files", fail)


@pytest.mark.usefixtures("speaking")
def test_what_is_shown() -> None:
    ordinary = ["in passing", "to act on", "epoch 1", "wrong rows"]
    for words in (["docs"], ["--quiet", "docs"], ["docs", "--quiet"], ["docs"]):
        result = run(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        quiet = ["to act on", "wrong rows"]
        assert result.stderr.splitlines() == (quiet if "--quiet" in words else ordinary)


@pytest.mark.usefixtures("speaking")
@pytest.mark.parametrize("words", [["--verbose", "docs"], ["docs", "--verbose"]])
def test_verbose_shows_where_a_message_is_from_and_the_traceback(words: list[str]) -> None:
    lines = run(*words).stderr.splitlines()
    (detail,) = [line for line in lines if line.endswith(": a detail")]
    assert " DEBUG mobilenet_chest.data [" in detail
    assert "Traceback (most recent call last):" in lines
    assert lines[-1] == "wrong rows"


FAILING = """
import logging, sys
from mobilenet_chest.cli import docs, main
from mobilenet_chest.errors import DataError

def fail():
    logging.getLogger("mobilenet_chest.data").debug("a detail 胸")
    if "bug" in sys.argv[-1]:
        raise ZeroDivisionError("a mistake")
    raise DataError("wrong rows")

docs._files = fail
main()
"""


def failing(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command that fails, in a process of its own."""
    command = [sys.executable, "-c", FAILING, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_file_has_everything_and_keeps_what_it_has(tmp_path: Path) -> None:
    for words in (["--log-file", "all.log", "docs"], ["docs", "--quiet", "--log-file", "all.log"]):
        result = failing(tmp_path, *words)
        assert (result.returncode, result.stderr) == (2, "wrong rows\n")
    text = (tmp_path / "all.log").read_text(encoding="utf-8")
    assert text.count(": a detail 胸\n") == 2
    assert text.count(" ERROR mobilenet_chest.cli.errors [") == text.count("]: wrong rows\n") == 2
    assert text.count("Traceback") == 2


def test_a_mistake_of_ours_is_in_the_file_too(tmp_path: Path) -> None:
    result = failing(tmp_path, "--log-file", "all.log", "docs", "bug")
    assert result.returncode == 1
    assert "ZeroDivisionError: a mistake" in (tmp_path / "all.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", [".", "nowhere/all.log"])
def test_a_file_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    for words in (["--log-file", place, "schema"], ["schema", "--log-file", place]):
        result = start(*words, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"--log-file {place}: cannot be written (")
    assert list(tmp_path.iterdir()) == []


def test_a_worker_process_is_as_quiet_and_writes_to_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(logs.FILE_VARIABLE, str(tmp_path / "all.log"))
    logger = logging.getLogger(logs.LOGGER)
    logger.handlers = []
    logs.show(logging.WARNING)
    assert (logs.shown_level(), logs.is_quiet()) == (logging.WARNING, True)
    logging.getLogger("mobilenet_chest.sweep").info("trial 7 is queued again")
    err.print("epoch 1/2", markup=False)
    assert capsys.readouterr().err == ""
    text = (tmp_path / "all.log").read_text()
    assert "]: trial 7 is queued again\n" in text
    assert text.endswith("]: epoch 1/2\n")
    for handler in logger.handlers:
        handler.close()


# --- colours -------------------------------------------------------------------------------------------------------


def in_terminal(*words: str, cwd: Path, **variables: str) -> str:
    """Return what a command prints in a terminal of 90 columns."""
    parent, child = pty.openpty()
    os.set_blocking(parent, False)
    command = [sys.executable, "-m", "mobilenet_chest", *words]
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "90"} | variables
    done = subprocess.run(command, cwd=cwd, env=environment, stdout=child, stderr=child, timeout=60, check=False)
    os.close(child)
    text = b""
    while True:
        try:
            read = os.read(parent, 65536)
        except OSError:
            break
        if not read:
            break
        text += read
    os.close(parent)
    assert done.returncode == 0
    return text.decode()


def test_no_colour_where_none_is_wanted(tmp_path: Path) -> None:
    text = in_terminal("data", "info", cwd=tmp_path, NO_COLOR="1")
    assert "pneumoniamnist" in text
    assert COLOUR.findall(text) == []
    assert COLOUR.findall("\x1b[1;31mred\x1b[0m") != []
    assert COLOUR.findall("\x1b[1mbold\x1b[0m") == []


# --- completion ----------------------------------------------------------------------------------------------------


def completions(folder: Path, typed: str) -> list[str]:
    words = f"mobilenet-chest {typed}"
    result = start(
        cwd=folder, _MOBILENET_CHEST_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.split()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("swe", ["sweep"]),
        ("re", ["report", "repair"]),
        ("cache ", ["ls", "clear"]),
        ("compare --ba", ["--baseline"]),
        ("sweep --launcher ", ["local", "ray"]),
        ("--log", ["--log-file"]),
        ("--quiet swe", ["sweep"]),
        ("nothing", []),
    ],
)
def test_bash_completes_commands_options_and_values(tmp_path: Path, typed: str, offered: list[str]) -> None:
    assert completions(tmp_path, typed) == offered


@pytest.mark.parametrize("typed", ["", "compare --ba"])
def test_completion_answers_at_once(tmp_path: Path, typed: str) -> None:
    def answered() -> None:
        assert completions(tmp_path, typed)

    assert quickest(answered, 0.3) < 0.3


def test_completion_imports_nothing_heavy(tmp_path: Path) -> None:
    """A line with values of all kinds: none is converted."""
    script = (
        "import sys\n"
        "from mobilenet_chest.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "print(*[name for name in ('mlflow', 'numpy', 'optuna', 'pydantic', 'torch') if name in sys.modules])\n"
    )
    line = "mobilenet-chest --log-file a.log serve a-model --port 8000 --hos"
    completing = os.environ | {
        "_MOBILENET_CHEST_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    command = [sys.executable, "-c", script]
    result = subprocess.run(
        command, cwd=tmp_path, env=completing, capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.splitlines() == ["--host", ""]
    assert list(tmp_path.iterdir()) == []


def test_the_script_for_a_shell(tmp_path: Path) -> None:
    result = start("--show-completion", "bash", cwd=tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert result.returncode == 0
    assert "_MOBILENET_CHEST_COMPLETE=complete_bash" in result.stdout
