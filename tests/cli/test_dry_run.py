"""What ``--dry-run`` prints, and that it writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.commands import Write, contents, run
from helpers.studies import Tell

from mobilenet_chest.sweep.storage import DEFAULT


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_dry_run_writes_nothing(folder: Path, written: Write, command: str) -> None:
    path = written()
    result = run(command, path, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["rows"] == {
        "train": {"cardiomegaly": 22, "pneumothorax": 46},
        "val": {"cardiomegaly": 11, "pneumothorax": 23},
    }
    assert document["config"]["stage2"]["lr"] == 1e-3
    # 960 features, 8 hidden units, one logit
    assert document["parameters_stage1"] == 960 * 8 + 8 + 8 + 1
    assert document["parameters"] == 5_022_225 - 2_050_561 + document["parameters_stage1"]
    assert document.get("trials") == {"train": None, "sweep": 2}[command]
    assert contents(folder) == {}
    assert "confirmations" not in document
    text = run(command, path, "stage2.lr=2e-3", "--dry-run")
    assert text.exit_code == 0
    assert "train: 22 cardiomegaly, 46 pneumothorax" in text.stdout.splitlines()
    assert ("trials to come: 2 of 2" in text.stdout) == (command == "sweep")
    assert contents(folder) == {}


def test_a_dry_run_says_that_one_metric_chooses_epochs_and_another_ranks(folder: Path, written: Write) -> None:
    for metric, said in (("val_accuracy", True), ("val_auc", False)):
        lines = run("sweep", written(), f"evaluation.metric={metric}", "--dry-run").stdout.splitlines()
        assert any(line.startswith("note: evaluation.metric val_accuracy") for line in lines) == said


def test_a_dry_run_counts_what_a_confirmation_trains(folder: Path, written: Write) -> None:
    arguments = ("sweep", written(), "study.confirm={top: 3, seeds: 4}", "--dry-run")
    # of two trials, three cannot lead
    assert json.loads(run(*arguments, "--json").stdout)["confirmations"] == 8
    lines = run(*arguments).stdout.splitlines()
    assert lines[-1].endswith(": 8 (up to 3 trials, 4 new seeds each)")
    assert contents(folder) == {}


def test_a_dry_run_says_how_many_epochs_a_scheduler_trains(folder: Path, written: Write) -> None:
    study = {"trials": 9, "pruner": "none", "scheduler": "asha", "asha": {"first": 2}}
    path = written(study=study, stage1={"epochs": 1}, stage2={"epochs": 5})
    document = json.loads(run("sweep", path, "--dry-run", "--json").stdout)
    assert document["scheduler"] == {
        "rungs": [2],
        "epochs_usually": 9 * 2 + 3 * 4,
        "epochs_at_most": 9 * 2 + 7 * 4,
        "epochs_unpaused": 54,
    }
    text = run("sweep", path, "--dry-run").stdout
    assert "after epochs 2 of 6; epochs of all trials: about 30, at most 46 (54 if" in text
    assert contents(folder) == {}


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_dry_run_warns_of_doubtful_data(folder: Path, written: Write, chest_file: Path, command: str) -> None:
    fields = (f"data.path={chest_file}", "data.source_size=128")
    result = run(command, written(), *fields, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    (line,) = json.loads(result.stdout)["warnings"]
    assert "32 by 32" in line
    assert line in result.stderr.splitlines()
    assert json.loads(run(command, written(), "--dry-run", "--json").stdout)["warnings"] == []


def test_a_dry_run_says_which_sampler_is_taken(folder: Path, written: Write) -> None:
    assert json.loads(run("sweep", written(), "--dry-run", "--json").stdout)["sampler"] == {"name": "tpe", "reason": ""}
    lines = run("sweep", written(), "study.sampler=auto", "--dry-run").stdout.splitlines()
    (said,) = [line for line in lines if line.startswith("sampler: ")]
    assert said.startswith("sampler: gp, chosen by auto: ")
    assert contents(folder) == {}


def test_a_dry_run_says_what_a_study_begins_with(folder: Path, written: Write, tell: Tell) -> None:
    path = written(search={"stage2.lr": {"low": 1e-5, "high": 1e-2, "log": True, "prior": 3e-4}})
    document = json.loads(run("sweep", path, "--dry-run", "--json").stdout)
    assert document["first_trials"] == [{"values": {"stage2.lr": 3e-4}, "study": None, "trial": None}]
    assert contents(folder) == {}
    tell(DEFAULT, "earlier", [({"stage2.lr": 1e-3}, 0.9), ({"stage2.lr": 1e-5}, 0.5)])
    lines = run("sweep", path, "study.learn_from=all", "--dry-run").stdout.splitlines()
    assert [line for line in lines if line.startswith("first trials: ")] == [
        "first trials: priors: stage2.lr=0.0003",
        "first trials: trial 0 of study 'earlier': stage2.lr=0.001",
    ]
