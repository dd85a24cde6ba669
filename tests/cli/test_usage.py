"""Wrong command lines: one line with the value and where help is, and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import assert_one_line, run


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["evaluate", "x", "--split", "tset"],
         "--split: 'tset' is not one of 'val', 'test'; type: mobilenet-chest evaluate --help"),
        (["evaluate", "x", "--splt", "test"],
         "no such option: --splt (Possible options: --as, --split); type: mobilenet-chest evaluate --help"),
        (["evaluate"], "missing argument 'RUN_ID|STUDY'; type: mobilenet-chest evaluate --help"),
        (["evaluate", "a", "b"], "got unexpected extra argument(s) (b); type: mobilenet-chest evaluate --help"),
        (["points", "--prevalence"], "option '--prevalence' requires an argument; type: mobilenet-chest points --help"),
        (["evalate"], "no such command 'evalate'. Did you mean 'evaluate', 'ablate'? Type: mobilenet-chest --help"),
        (["studies", "exprt"], "no such command 'exprt'. Did you mean 'export'? Type: mobilenet-chest studies --help"),
    ],
)  # fmt: skip
def test_one_line(arguments: list[str], line: str) -> None:
    assert assert_one_line(*arguments, wants=line) == line


def test_a_value_that_the_reason_does_not_name() -> None:
    line = assert_one_line("sweep", "--workers", "many", wants="--workers many: ")
    assert line.endswith("; type: mobilenet-chest sweep --help")


def test_escape_sequences_of_a_value_are_shown_not_sent() -> None:
    line = assert_one_line("sweep", "--workers", "1\x1b[31m\n", wants="--workers 1\\x1b[31m\\n: ")
    assert line.isprintable()


def test_a_group_without_a_command_shows_its_help() -> None:
    result = run("studies")
    assert result.exit_code == 2
    assert "Usage: " in result.output
    assert "export" in result.output


def test_the_front_doors_name_themselves(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "sweep.py"
    done = subprocess.run(
        [sys.executable, str(script), "--nonsense"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert " ".join(done.stderr.split()) == "no such option: --nonsense; type: python sweep.py --help"
