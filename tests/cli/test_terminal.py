"""Commands on a real terminal: the first line, the live view, Ctrl-C and the resume after it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from helpers.commands import ROOT, Write
from helpers.terminals import cpu_seconds, on_terminal

import mobilenet_chest

FIRST = f"mobilenet-chest {mobilenet_chest.__version__}: reading "
KEPT = r"kept: at least (\d+) of 31 epochs of trial 0"
RESUMED = r"resumed trial 0 at epoch (\d+) of 31 \(of run [0-9a-f]{8}\), 0 of 1 trials finished"
WAIT_SECONDS = 240.0
SMALL = {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")


@pytest.mark.parametrize(
    "command", [[ROOT / "sweep.py"], [ROOT / "train.py"], ["-m", "mobilenet_chest", "sweep"]], ids=["s", "t", "m"]
)
def test_the_first_line_comes_within_a_second(folder: Path, command: list[object]) -> None:
    """Within a second of CPU time, so that a busy machine does not count: torch alone takes longer to import."""
    with on_terminal(*command, "none.yaml", cwd=folder) as terminal:
        terminal.read_until(re.escape(f"{FIRST}none.yaml\n"), seconds=60)
        assert cpu_seconds(terminal.pid) < 1.0
        assert terminal.wait(seconds=60) == 2


def test_without_an_experiment_a_sweep_reads_the_quickstart(folder: Path) -> None:
    with on_terminal(ROOT / "sweep.py", "study.trials=-1", cwd=folder) as terminal:
        terminal.read_until(re.escape("quickstart.yaml\n"), seconds=60)
        assert terminal.wait(seconds=60) == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sweep_is_watched_interrupted_and_resumed(tracking: Path, written: Write) -> None:
    path = written(model=SMALL, stage1={"epochs": 1}, stage2={"epochs": 30, "lr": 1e-3, "patience": None})
    # with two workers each has one thread, which spins for no other on a busy machine of two cores
    command = (ROOT / "sweep.py", path, "--workers", "2", "--trials", "1")
    with on_terminal(*command, cwd=tracking, columns=80) as terminal:
        headings = r"\ntrial +epoch +stage +loss +val_auc +best +images/s +left"
        terminal.read_until(headings + r" *\n0 +[1-9]\d*/31 +\d +[\d.]+ +[\d.]+ +[\d.]+ +\d+", WAIT_SECONDS)
        terminal.type(b"\x03")
        assert terminal.wait(WAIT_SECONDS) == 130
        end = terminal.text.splitlines()[-5:]
    assert "kept: 0 of 1 trials finished" in end
    (told,) = [int(match[1]) for line in end if (match := re.fullmatch(KEPT, line))]
    assert 1 <= told < 31
    assert end[-2].startswith("interrupted; run the same command to continue:")
    assert end[-1].strip().startswith("python ")  # a command stays whole, however long
    assert end[-1].endswith(f"sweep.py {path} --workers 2 --trials 1")
    with on_terminal(*command, cwd=tracking, columns=80) as terminal:
        assert terminal.wait(WAIT_SECONDS) == 0
        lines = terminal.text.splitlines()
    (resumed,) = [line for line in lines if line.startswith("resumed trial ")]  # a line of its own
    match = re.fullmatch(RESUMED, resumed)
    assert match is not None
    assert told <= int(match[1]) <= told + 1  # an epoch may have been saved and not told yet
    assert any(line.startswith("best: trial 0, second attempt, val_auc ") for line in lines)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_training_is_a_line_that_changes(tracking: Path, written: Write) -> None:
    path = written(model=SMALL, stage2={"epochs": 24, "lr": 1e-3, "patience": None})
    with on_terminal(ROOT / "train.py", path, cwd=tracking, columns=80) as terminal:
        terminal.read_until(r"\n *[1-9]/25 .*", WAIT_SECONDS)
        terminal.type(b"\x03")
        assert terminal.wait(WAIT_SECONDS) == 130
        *_, kept, last = terminal.text.splitlines()
    assert kept.startswith("interrupted; kept: at least ")
    run_id = last.split()[-1]
    assert (len(run_id), last.endswith(f"train.py {path} --resume {run_id}")) == (8, True)
    with on_terminal(ROOT / "train.py", path, "--resume", run_id, cwd=tracking, columns=80) as terminal:
        assert terminal.wait(WAIT_SECONDS) == 0
        assert f"run {run_id} resumes after epoch " in terminal.text
        assert "25/25" in terminal.text
