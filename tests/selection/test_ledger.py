"""The access log of the test split: no access is lost, and a study with all that is made from it opens it once."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from mobilenet_chest.cli.app import app
from mobilenet_chest.errors import SealedError, TrackingError
from mobilenet_chest.selection import ledger
from mobilenet_chest.selection.access import access_lines
from mobilenet_chest.selection.compare import compare
from mobilenet_chest.selection.ledger import accesses, all_accesses, find_accesses, record_access

pytestmark = pytest.mark.usefixtures("tracking")


def made(kind: str, parent: Run | None = None, **run_tags: str) -> Run:
    """Create a run with these tags, nested under another one."""
    nested = {} if parent is None else {"mlflow.parentRunId": parent.info.run_id}
    return MlflowClient().create_run("0", tags={"kind": kind} | nested | run_tags)


def open_split(run: Run, again: bool = False, **metrics: float) -> None:
    record = record_access(MlflowClient(), run, "evaluate", again)
    record.log_digest("d" * 16)
    record.log_result(metrics)


def count(run: Run) -> int:
    return len(accesses(MlflowClient(), run))


def test_an_access_is_on_record_before_anything_is_read() -> None:
    run, before = made("train"), datetime.now(UTC) - timedelta(milliseconds=1)
    record = record_access(MlflowClient(), run, "promote", again=False)
    (access,) = accesses(MlflowClient(), run)
    assert (access.run_id, access.study, access.digest, access.result, access.again) == (
        run.info.run_id, None, None, {}, False,
    )  # fmt: skip
    assert before <= datetime.fromisoformat(str(access.when)) <= datetime.now(UTC)
    assert re.fullmatch(r"\S+@\S+, promote", str(access.who))
    assert MlflowClient().get_run(run.info.run_id).data.tags["test_evaluations"] == "1"
    record.log_digest("0123456789abcdef")
    record.log_result({"test_auc_tta": 0.875, "test_accuracy_tta_threshold": 0.75})
    (access,) = accesses(MlflowClient(), run)
    assert (access.digest, access.result) == (
        "0123456789abcdef", {"test_auc_tta": 0.875, "test_accuracy_tta_threshold": 0.75},
    )  # fmt: skip
    when = str(access.when).replace("T", " ")[:16]
    (line,) = access_lines([access])
    for fact in (when, access.who, access.run_id, "test_auc_tta 0.8750", "test_accuracy_tta_threshold 0.7500"):
        assert str(fact) in line


def test_a_second_access_is_refused_unless_it_is_asked_for() -> None:
    study = made("study", study="s")
    first, second = made("trial", study, study="s"), made("trial", study, study="s")
    open_split(first, test_auc_tta=0.875)
    with pytest.raises(SealedError) as caught:
        record_access(MlflowClient(), second, "evaluate", again=False)
    assert caught.value.exit_code == 3
    (line,) = access_lines(accesses(MlflowClient(), second))
    assert "study 's' once" in str(caught.value)
    assert line.partition(": ")[2] in str(caught.value)
    assert f"run {first.info.run_id} of study 's': test_auc_tta 0.8750" in str(caught.value)
    assert "--again" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "test_evaluations" not in MlflowClient().get_run(second.info.run_id).data.tags

    open_split(second, again=True)
    assert [(access.run_id, access.again) for access in accesses(MlflowClient(), first)] == [
        (first.info.run_id, False), (second.info.run_id, True),
    ]  # fmt: skip
    assert [line.partition(":")[0] for line in access_lines(accesses(MlflowClient(), first))] == [
        "access 1", "access 2, again",
    ]  # fmt: skip
    tags = [MlflowClient().get_run(run.info.run_id).data.tags["test_evaluations"] for run in (first, second)]
    assert tags == ["1", "1"]
    with pytest.raises(SealedError, match="study 's' 2 times"):
        record_access(MlflowClient(), first, "promote", again=False)


def test_what_is_made_from_a_study_belongs_to_it() -> None:
    study = made("study", study="s")
    trials = [made("trial", study, study="s") for _ in range(2)]
    confirm = made("confirm", trials[0], study="s", trial="0")
    members = ",".join(trial.info.run_id for trial in trials)
    ensemble = made("ensemble", members=members)
    soup = made("soup", members=members)
    nested_ensemble = made("ensemble", members=f"{ensemble.info.run_id},{soup.info.run_id}")
    student = made("train", teacher=ensemble.info.run_id)
    belongs = [study, *trials, confirm, ensemble, soup, nested_ensemble, student]
    other, single = made("study", study="other"), made("train")
    for run in (student, confirm):
        open_split(run, again=True)
    assert [(access.run_id, access.study) for access in accesses(MlflowClient(), study)] == [
        (student.info.run_id, "s"), (confirm.info.run_id, "s"),
    ]  # fmt: skip
    assert {count(run) for run in belongs} == {2}
    assert {count(run) for run in (other, single)} == {0}


def test_an_access_for_an_ensemble_of_two_studies_counts_for_both() -> None:
    studies = [made("study", study=name) for name in ("b", "a")]
    trials = [made("trial", study) for study in studies]
    ensemble = made("ensemble", members=",".join(trial.info.run_id for trial in trials))
    open_split(trials[0])
    with pytest.raises(SealedError, match="study 'b' once"):
        open_split(ensemble)
    assert count(studies[1]) == 0
    open_split(ensemble, again=True, test_auc=0.5)
    assert [count(run) for run in (*studies, ensemble)] == [2, 1, 2]
    (shared,) = accesses(MlflowClient(), studies[1])
    assert (shared.run_id, shared.study, shared.result, shared.again) == (
        ensemble.info.run_id, "a, b", {"test_auc": 0.5}, True,
    )  # fmt: skip
    assert accesses(MlflowClient(), ensemble)[1] == shared
    assert all_accesses(MlflowClient()) == accesses(MlflowClient(), ensemble)


def test_the_first_process_keeps_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process takes the number after this one read the record and before it logs its entry."""
    run, original, meanwhile = made("train"), ledger.log_once, iter([True, False])

    def late(client: MlflowClient, run_id: str, name: str, value: str) -> bool:
        if name == "test_opening_1" and next(meanwhile):
            open_split(run)
        return original(client, run_id, name, value)

    monkeypatch.setattr(ledger, "log_once", late)
    with pytest.raises(SealedError):
        open_split(run)
    assert count(run) == 1
    other, meanwhile = made("train"), iter([True, False])
    run = other
    open_split(run, again=True)
    assert [access.again for access in accesses(MlflowClient(), run)] == [False, True]
    assert MlflowClient().get_run(run.info.run_id).data.tags["test_evaluations"] == "2"


def test_an_access_that_is_refused_half_way_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process opens the second of two studies after this one logged its entry for the first."""
    studies = sorted([made("study", study=name) for name in ("a", "b")], key=lambda run: str(run.info.run_id))
    trials = [made("trial", study) for study in studies]
    ensemble, original = made("ensemble", members=",".join(t.info.run_id for t in trials)), ledger.log_once

    def late(client: MlflowClient, run_id: str, name: str, value: str) -> bool:
        done = original(client, run_id, name, value)
        if run_id == studies[0].info.run_id:
            monkeypatch.setattr(ledger, "log_once", original)
            open_split(trials[1])
        return done

    monkeypatch.setattr(ledger, "log_once", late)
    with pytest.raises(SealedError):
        open_split(ensemble)
    assert [count(study) for study in studies] == [0, 1]
    assert "test_evaluations" not in MlflowClient().get_run(ensemble.info.run_id).data.tags
    open_split(trials[0])
    (access,) = accesses(MlflowClient(), studies[0])
    assert (access.run_id, access.again) == (trials[0].info.run_id, False)


def test_an_entry_cannot_be_changed() -> None:
    run = made("train")
    open_split(run, test_auc=0.5)
    params = MlflowClient().get_run(run.info.run_id).data.params
    entries = [name for name in params if name.startswith("test_opening_")]
    assert len(entries) == 3
    for name in entries:
        with pytest.raises(MlflowException, match="not allowed"):
            MlflowClient().log_param(run.info.run_id, name, "other")


def test_accesses_older_than_the_access_log() -> None:
    study = made("study", study="s")
    old, new = made("trial", study, study="s", test_evaluations="2"), made("trial", study, study="s")
    recorded = accesses(MlflowClient(), new)
    assert [(access.run_id, access.when, access.who, access.again) for access in recorded] == [
        (old.info.run_id, None, None, again) for again in (False, True)
    ]
    assert f"run {old.info.run_id} of study 's'" in access_lines(recorded)[0]
    with pytest.raises(SealedError, match=f"study 's' 2 times .*{old.info.run_id}"):
        open_split(new)
    open_split(old, again=True)
    assert [access.when is None for access in accesses(MlflowClient(), new)] == [True, True, False]
    assert accesses(MlflowClient(), new)[2].again
    assert MlflowClient().get_run(old.info.run_id).data.tags["test_evaluations"] == "3"
    open_split(old, again=True)
    assert MlflowClient().get_run(old.info.run_id).data.tags["test_evaluations"] == "4"
    assert all_accesses(MlflowClient()) == accesses(MlflowClient(), study)
    assert count(made("train")) == 0


def test_a_deleted_study_keeps_its_record() -> None:
    study = made("study", study="s")
    trial, other = made("trial", study), made("trial", study)
    open_split(trial)
    MlflowClient().delete_run(study.info.run_id)
    with pytest.raises(SealedError):
        open_split(other)
    with pytest.raises(TrackingError, match=f"`mlflow runs restore .* {study.info.run_id}`"):
        open_split(other, again=True)
    MlflowClient().restore_run(study.info.run_id)
    open_split(other, again=True)
    assert count(trial) == 2


def test_compare_gives_the_accesses_of_rows_with_test_metrics() -> None:
    study = made("study", study="s")
    trials = [made("trial", study, study="s") for _ in range(2)]
    for trial in trials:
        open_split(trial, again=True, test_auc=0.5)
        MlflowClient().log_metric(trial.info.run_id, "test_auc", 0.5)
    rows = compare([str(run.info.run_id) for run in (*trials, made("train"))])
    assert [[(access.run_id, access.again) for access in row.openings] for row in rows] == [
        [(trials[0].info.run_id, False)], [(trials[1].info.run_id, True)], [],
    ]  # fmt: skip


def test_what_the_command_lists(tracking: Path) -> None:
    def listed(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["ledger", *arguments])

    assert listed().output == "the test split has not been opened\n"
    study, single = made("study", study="s"), made("train")
    open_split(made("trial", study, study="s"), test_auc_tta=0.75)
    open_split(single)
    everything = all_accesses(MlflowClient())
    rows = [line.split("│") for line in listed().output.splitlines() if line.startswith("│")]
    assert [cells[4].strip() for cells in rows] == [access.run_id[:8] for access in everything]
    assert "AUC 0.7500" in rows[0][6]
    for name in ("s", study.info.run_id):
        (document,) = json.loads(listed(str(name), "--json").stdout)["openings"]
        assert (document["study"], document["result"], document["again"]) == ("s", {"test_auc_tta": 0.75}, False)
    assert find_accesses(MlflowClient(), str(single.info.run_id)) == accesses(MlflowClient(), single)
    for wrong, words in (
        (["ledger", "t"], "no study 't' at"),
        (["ledger", "0" * 32], "no run 0000"),
        (["evaluate", "0" * 32, "--split", "val", "--again"], "--again opens the test split once more"),
    ):
        refused = CliRunner().invoke(app, wrong)
        assert refused.exit_code == 2
        assert words in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
