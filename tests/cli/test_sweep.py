"""What ``sweep`` prints of its trials, for people and for scripts."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import optuna
import pytest
from helpers.commands import ROOT, Write, assert_refused, start

from mobilenet_chest.cli.sweep import kept_lines, print_sweep
from mobilenet_chest.config import Config, parse
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.sweep import RunningTrial, SweepResult, TrialSummary
from mobilenet_chest.sweep.findings import Finding
from mobilenet_chest.sweep.summary import Kept
from mobilenet_chest.sweep.ties import Ties
from mobilenet_chest.training.epochs import Epochs

TRIALS = [
    TrialSummary(0, "COMPLETE", 0.95, "a" * 32, {"stage2.lr": 1e-3}),
    TrialSummary(1, "COMPLETE", 0.97, "b" * 32, {"stage2.lr": 2e-3}),
    TrialSummary(2, "PRUNED", 0.6, "c" * 32, {"stage2.lr": 3e-3}),
]
KNOWN = Ties({0: Interval(0.95, 0.9123, 0.9788), 1: Interval(0.97, 0.9401, 0.9896)}, [0, 1])
STAGE1 = {"stage1_epochs_trained": 3.0, "stage1_epochs_reused": 0.0, "saved_seconds": 0.0}


@pytest.fixture
def config() -> Config:
    return parse({"name": "lr", "search": {"stage2.lr": {"low": 1e-4, "high": 1e-2}}, "study": {"trials": 3}})


def result(known: Ties = KNOWN, trials: list[TrialSummary] = TRIALS) -> SweepResult:
    best = max((trial for trial in trials if trial.state == "COMPLETE"), key=lambda trial: trial.value or 0)
    return SweepResult("lr", "d" * 32, trials, best, [], {}, True, 3, STAGE1, ties=known)


def test_values_stand_with_their_intervals_and_the_best_is_not_praised(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    print_sweep(config, result(), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")][:4] for line in lines if line.startswith("│")]
    assert rows == [
        ["1", "complete", "0.9700 (0.940–0.990)", "best"],
        ["0", "complete", "0.9500 (0.912–0.979)", "tied"],
        ["2", "pruned", "0.6", ""],
    ]
    assert len([line for line in lines if line.startswith("in brackets: 95% intervals; tied: ")]) == 1
    (best,) = [line for line in lines if line.startswith("best: ")]
    assert "trial 1, val_auc 0.9700 on the validation split; best of 2 trials" in best


def test_one_trial_was_not_chosen(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    print_sweep(config, result(Ties({}, []), TRIALS[:1]), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert "best: trial 0, val_auc 0.9500 on the validation split" in lines
    assert not any("in brackets" in line for line in lines)


def test_json_has_them_by_the_trials_numbers(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    print_sweep(config, result(), as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["intervals"] == {"0": [0.9123, 0.9788], "1": [0.9401, 0.9896]}
    assert document["tied"] == [0, 1]
    assert document["best"]["number"] == 1


def test_what_the_trials_say_about_the_search_is_said(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    finding = Finding("edge", "the best stage2.lr, 0.01, is at the high end", "search.stage2.lr: {high: 0.1}")
    ended = dataclasses.replace(result(), findings=[finding])
    print_sweep(config, ended, as_json=False)
    assert f"note: {finding}" in capsys.readouterr().out.splitlines()
    print_sweep(config, ended, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["findings"] == [{"kind": "edge", "text": finding.text, "change": finding.change}]
    print_sweep(config, result(), as_json=False)
    assert "note: " not in capsys.readouterr().out


def test_a_study_that_was_ended_goes_on_under_its_name(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    ended = Finding("ended_early", "the study ended", "study.stop_when: {gain: 0.0001, per: 1h}")
    print_sweep(config, dataclasses.replace(result(), findings=[ended]), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert f"note: {ended}" in lines
    assert not any("--study" in line for line in lines)


def test_a_second_attempt_keeps_the_number_of_the_first(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    again = TrialSummary(2, "COMPLETE", 0.99, "c" * 32, {"stage2.lr": 3e-3}, attempt=2, attempt_of=0)
    shown = result(Ties({}, []), [TRIALS[1], again])
    print_sweep(config, shown, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("│ 0, second attempt │ complete") for line in lines)
    assert any(line.startswith("best: trial 0, second attempt, val_auc 0.9900") for line in lines)
    print_sweep(config, shown, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["best"]["number"] == 2
    assert [(trial["number"], trial["attempt"], trial["attempt_of"]) for trial in document["trials"]] == [
        (1, 1, None),
        (2, 2, 0),
    ]


def test_what_an_interrupt_keeps_is_said(config: Config) -> None:
    epochs = Epochs(7, 20, 2, "val_auc", (0.8,), 0.8, 0.3, 100.0, (5, 15), {})
    running = RunningTrial(4, "RUNNING", None, None, {}, attempt=2, attempt_of=0, epochs=epochs)
    folded = dataclasses.replace(running, epochs=dataclasses.replace(epochs, fold=1, folds=5), attempt_of=3)
    begun = RunningTrial(5, "RUNNING", None, None, {})
    assert kept_lines(config, Kept(2, [running, folded, begun])) == [
        "kept: 2 of 3 trials finished",
        "kept: at least 7 of 20 epochs of trial 0, second attempt",
        "kept: at least 7 of 20 epochs of fold 2 of 5 of trial 3, second attempt",
        "kept: the values of trial 5, which begins again",
    ]
    assert kept_lines(config, Kept(1, [], paused=2))[1:] == ["kept: 2 trials paused at a rung, with their checkpoints"]


@pytest.mark.parametrize("timeout", ["soon", "2", "h", "-1h", "2 h", "1e3s", "2w", ""])
def test_a_timeout_is_a_number_and_a_unit(folder: Path, written: Write, timeout: str) -> None:
    assert_refused(folder, "sweep", written(), f"--timeout={timeout}", wants=f"--timeout {timeout}: ")


def test_a_storage_that_cannot_be_used(folder: Path, written: Write) -> None:
    for storage, wants in (
        ("mysql://ann:hush@127.0.0.1/x", "mysql://ann:***@127.0.0.1/x: trials can be claimed safely in"),
        ("optuna.db", "--storage optuna.db: not a database address"),
        (f"sqlite:///{folder / 'none' / 'optuna.db'}", "cannot write optuna.db"),
    ):
        assert_refused(folder, "sweep", written(), "--storage", storage, wants=wants)


def test_a_study_of_another_search(folder: Path, written: Write) -> None:
    storage = optuna.storages.RDBStorage("sqlite:///optuna.db")
    optuna.create_study(study_name="tiny", storage=storage)
    optuna.create_study(study_name="other", storage=storage)
    storage.remove_session()
    storage.engine.dispose()
    (folder / "optuna.db.lock").touch()
    assert_refused(
        folder, "sweep", written(), wants="study 'tiny' exists with another search or experiment (different: "
    )
    assert_refused(
        folder, "sweep", written(), "--study", "other", "--dry-run", wants="study 'other' exists with another"
    )


def test_nothing_to_search(folder: Path, written: Write) -> None:
    assert_refused(
        folder, "sweep", written(search={}), wants="tiny: nothing to search; add a search section, or use train.py"
    )


def test_the_command_can_fork_its_workers(folder: Path, written: Write) -> None:
    """What comes before may not import torch: a process that has is not forked, and its workers start slowly."""
    script = """
import sys
from mobilenet_chest import fork_server
from mobilenet_chest.cli import main
may_fork = fork_server.may_fork
fork_server.may_fork = lambda: sys.exit(f"may fork: {may_fork()}")
sys.argv[0] = "sweep"
main()
"""
    done = start("-c", script, "sweep", written(), cwd=folder)
    assert done.stderr == f"may fork: {sys.platform == 'linux'}\n"


@pytest.mark.slow  # three interpreters that import torch, MLflow and Optuna, one after the other
def test_sweep_py_prints_one_document_and_goes_on(tracking: Path, written: Write) -> None:
    path = written()
    first = start(ROOT / "sweep.py", path, "--json", "--trials", "1", cwd=tracking)
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    assert {"study", "run_id", "trials", "best"} <= set(document)
    (trial,) = document["trials"]
    assert {"number", "state", "value", "run_id", "params"} <= set(trial)
    assert (document["study"], trial["number"], trial["state"]) == ("tiny", 0, "COMPLETE")
    assert list(trial["params"]) == ["stage2.lr"]
    assert document["best"] == {key: trial[key] for key in ("number", "value", "run_id", "params")}
    assert "Traceback" not in first.stderr
    # nothing is left to do: the same document again, from another front door
    again = start("-m", "mobilenet_chest", "sweep", path, "--json", "--trials", "1", cwd=tracking)
    assert (again.returncode, again.stdout) == (0, first.stdout)
