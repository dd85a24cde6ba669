"""Commands run in this process or in one of their own, for tests."""

from __future__ import annotations

import math
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from mobilenet_chest.cli.app import NAME, app

ROOT = Path(__file__).parents[2]

Write = Callable[..., Path]
"""Writes a tiny experiment, with fields replaced; the fixture ``written`` gives one."""


def run(*arguments: object) -> Result:
    """Run a command of ``mobilenet-chest`` in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name=NAME)


def start(
    *arguments: object, cwd: Path, given: str | None = None, limit: float = 200
) -> subprocess.CompletedProcess[str]:
    """Run Python with arguments in a process of its own, with a text on its standard input; ``limit`` is in seconds."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, input=given, capture_output=True, text=True, timeout=limit, check=False)


def quickest(act: Callable[[], object], enough: float) -> float:
    """Return the processor seconds that processes of a call took, of the quickest of up to ten: the first below enough.

    What else the machine does is not counted so, but that of a virtual machine's host is: the same call then takes up
    to twice as long.
    """
    seconds = math.inf
    for _ in range(10):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        act()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = min(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if seconds < enough:
            break
    return seconds


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file in a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_one_line(*arguments: object, wants: str) -> str:
    """Return the one line on stderr that a wrong input gives: exit code 2, and ``wants`` in the line."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert wants in lines[0]
    return lines[0]


def assert_refused(folder: Path, *arguments: object, wants: str) -> str:
    """Return the line of :func:`assert_one_line`; nothing may have been written in a folder."""
    before = contents(folder)
    line = assert_one_line(*arguments, wants=wants)
    assert contents(folder) == before
    return line
