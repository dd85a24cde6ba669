"""Scoring a finished run and groups of its images: validation metrics as logged, and test accesses counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from mobilenet_chest.cli.app import app
from mobilenet_chest.data.dataset import load_test
from mobilenet_chest.errors import DataError, SealedError, TrackingError
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.evaluation.intervals import wilson
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.metrics import split_metrics
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.selection.evaluate import evaluate
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.run_predictions import run_predictions

if TYPE_CHECKING:
    from helpers.stores import Store

Rewrite = Callable[..., None]


def test_validation_gives_the_metrics_of_the_run(store: Store) -> None:
    run = store.run(store.single)
    evaluation = evaluate(store.single, "val")
    assert (evaluation.run_id, evaluation.split, evaluation.rows, evaluation.test_evaluations) == (
        store.single,
        "val",
        34,
        0,
    )
    assert evaluation.metrics.keys() == {
        "val_accuracy", "val_accuracy_tta", "val_accuracy_tta_threshold", "val_auc", "val_auc_tta",
        "val_sensitivity", "val_specificity",
    }  # fmt: skip
    assert evaluation.metrics == pytest.approx({name: metrics_of(run)[name] for name in evaluation.metrics}, abs=1e-9)


def test_validation_writes_nothing(store: Store) -> None:
    before = store.run(store.single)
    evaluate(store.single, "val")
    after = store.run(store.single)
    assert after.data.to_dictionary() == before.data.to_dictionary()
    assert [file.path for file in store.client.list_artifacts(store.single, "predictions")] == [
        "predictions/val.parquet"
    ]


def test_test_metrics_and_predictions_are_logged_and_every_access_counted(store: Store) -> None:
    first = evaluate(store.single, "test")
    assert (first.split, first.rows, first.test_evaluations) == ("test", 34, 1)
    run = store.run(store.single)
    assert run.data.tags["test_evaluations"] == "1"
    assert {name: metrics_of(run)[name] for name in first.metrics} == first.metrics
    rows = load_test(store.config().data)
    assert run.data.tags["test_digest"] == rows.digest[:16]

    table = stored_predictions(store.client, run, "test")
    assert list(table) == ["row", "label", "probability", "probability_tta"]
    np.testing.assert_array_equal(table["row"], rows.rows)
    np.testing.assert_array_equal(table["label"], rows.labels.numpy())
    predictions = Predictions(**{name: table[name].to_numpy() for name in table})
    assert split_metrics("test", predictions, metrics_of(run)["threshold"]) == first.metrics
    assert first.intervals == metric_intervals("test", first.metrics, run_predictions(run, predictions))
    assert first.intervals.keys() == first.metrics.keys()

    (access,) = first.openings
    assert (access.run_id, access.study, access.digest, access.result, access.again) == (
        store.single, None, rows.digest[:16], first.metrics, False,
    )  # fmt: skip
    with pytest.raises(SealedError, match=f"run {store.single[:8]} once"):
        evaluate(store.single, "test")
    refused = CliRunner().invoke(app, ["evaluate", store.single, "--split", "test"])
    assert (refused.exit_code, refused.stdout, len(refused.stderr.splitlines())) == (3, "", 1)
    assert store.run(store.single).data.tags["test_evaluations"] == "1"

    second = evaluate(store.single, "test", again=True)
    assert second.test_evaluations == 2
    assert [access.again for access in second.openings] == [False, True]
    assert second.metrics == first.metrics
    assert store.run(store.single).data.tags["test_evaluations"] == "2"


def test_the_run_stays_finished_and_its_other_metrics_unchanged(store: Store) -> None:
    before = store.run(store.single)
    evaluate(store.single, "test")
    after = store.run(store.single)
    assert (after.info.status, after.info.end_time) == ("FINISHED", before.info.end_time)
    assert {k: v for k, v in metrics_of(after).items() if not k.startswith("test_")} == metrics_of(before)


def test_an_access_is_counted_for_its_run_only(store: Store) -> None:
    evaluate(store.single, "test")
    assert "test_evaluations" not in store.run(store.trials[store.best]).data.tags


@pytest.mark.parametrize("split", ["val", "test"])
def test_changed_rows_are_refused_before_the_test_split_is_opened(
    store: Store, rewrite_data: Rewrite, split: str
) -> None:
    with np.load(store.data) as file:
        images = file["val_images"]
    images ^= 1
    rewrite_data(val_images=images)
    with pytest.raises(TrackingError) as caught:
        evaluate(store.single, split)  # type: ignore[arg-type]
    assert str(store.data) in str(caught.value)
    assert store.run(store.single).data.tags["data_digest"] in str(caught.value)
    assert "test_evaluations" not in store.run(store.single).data.tags


def test_a_file_without_test_rows_scores_validation_only(store: Store, rewrite_data: Rewrite) -> None:
    rewrite_data(test_images=None, test_labels=None)
    assert evaluate(store.single, "val").rows == 34
    with pytest.raises(DataError, match="test_images and test_labels"):
        evaluate(store.single, "test")
    run = store.run(store.single)
    assert "test_evaluations" not in run.data.tags
    assert not [name for name in metrics_of(run) if name.startswith("test_")]


def test_a_missing_file_is_refused(store: Store) -> None:
    store.data.unlink()
    with pytest.raises(DataError, match=store.data.name):
        evaluate(store.single, "val")


def test_an_unfinished_run_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match=f"run {store.interrupted[:8]} "):
        evaluate(store.interrupted, "val")


def test_an_unknown_run_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match=f"no run {'0' * 32}"):
        evaluate("0" * 32, "val")


def test_a_run_without_checkpoint_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match=r"checkpoints/best\.pt"):
        evaluate(store.trials[1 - store.best], "test")
    assert "test_evaluations" not in store.run(store.trials[1 - store.best]).data.tags


def test_groups_of_validation(store: Store, rewrite_data: Rewrite) -> None:
    sex = np.where(np.arange(40) % 3, "F", "M")
    rewrite_data(val_sex=sex)
    evaluation = evaluate(store.single, "val", groups=["sex"])
    run = store.run(store.single)
    table, threshold = stored_predictions(store.client, run, "val"), metrics_of(run)["threshold"]
    assert [(group.name, group.value) for group in evaluation.groups] == [("all", ""), ("sex", "F"), ("sex", "M")]
    assert evaluation.groups[0].figures["sensitivity"].value == evaluation.metrics["val_sensitivity"]
    assert evaluation.groups[0].figures["auc"].value == pytest.approx(evaluation.metrics["val_auc_tta"])
    for group in evaluation.groups[1:]:
        group_table = table[sex[table["row"]] == group.value]
        labels, scores = group_table["label"].to_numpy(np.uint8), group_table["probability_tta"].to_numpy()
        right = (scores >= threshold) == (labels == 1)
        assert (group.rows, group.positive) == (len(group_table), labels.sum())
        assert group.figures["accuracy"] == wilson(int(right.sum()), len(group_table))
        assert group.figures["auc"].low == pytest.approx(auc_interval(labels, scores).low)


def test_without_groups_there_are_none(store: Store) -> None:
    assert evaluate(store.single, "val").groups == []


def test_patients_of_the_file_widen_the_intervals(store: Store, rewrite_data: Rewrite) -> None:
    alone = evaluate(store.single, "val", groups=["view"], groups_from=view_table(store.folder)).groups
    assert alone[0].patients is None
    rewrite_data(val_patients=np.arange(40) // 5)
    groups = evaluate(store.single, "val", groups=["view"], groups_from=view_table(store.folder)).groups
    assert groups[0].patients == 8
    assert groups[0].figures["auc"].value == pytest.approx(alone[0].figures["auc"].value)
    assert groups[0].figures != alone[0].figures


def test_intervals_of_the_run_s_metrics_draw_whole_patients(store: Store, rewrite_data: Rewrite) -> None:
    alone = evaluate(store.single, "val")
    path = store.folder / "patients.csv"
    path.write_text("split,row,patient\n" + "".join(f"val,{row},p{row // 5}\n" for row in range(40)), encoding="utf-8")
    by_table = evaluate(store.single, "val", groups_from=path)
    rewrite_data(val_patient=np.array([f"p{row // 5}" for row in range(40)]))
    by_key = evaluate(store.single, "val")
    assert by_key.intervals == by_table.intervals
    assert by_key.groups == []
    assert by_key.metrics == alone.metrics
    assert by_key.intervals.keys() == alone.intervals.keys() == by_key.metrics.keys()
    for name, interval in by_key.intervals.items():
        assert interval.value == pytest.approx(alone.metrics[name])
        assert interval != alone.intervals[name]
    rewrite_data(val_patient=np.arange(40))
    assert evaluate(store.single, "val").intervals == alone.intervals


@pytest.mark.parametrize("wrong", ["name", "table"])
def test_wrong_groups_are_refused_before_the_test_split_is_opened(store: Store, wrong: str) -> None:
    path = store.folder / "groups.csv"
    path.write_text("split,row,sex\ntest,4000,F\n", encoding="utf-8")
    with pytest.raises(DataError, match="test_age" if wrong == "name" else "row 4000"):
        evaluate(store.single, "test", groups=["age"], groups_from=path if wrong == "table" else None)
    assert "test_evaluations" not in store.run(store.single).data.tags


def test_groups_of_test_come_with_its_one_access(store: Store, rewrite_data: Rewrite) -> None:
    rewrite_data(test_view=np.array(["PA", "AP"] * 20))
    evaluation = evaluate(store.single, "test", groups=["view"])
    assert (evaluation.test_evaluations, len(evaluation.openings)) == (1, 1)
    assert [group.value for group in evaluation.groups] == ["", "AP", "PA"]
    assert sum(group.rows for group in evaluation.groups[1:]) == evaluation.rows


def view_table(folder: Path) -> Path:
    """Write a table with the view of each validation row."""
    path = folder / "view.csv"
    path.write_text("split,row,view\n" + "".join(f"val,{row},{'PA' if row < 30 else 'AP'}\n" for row in range(40)))
    return path


def test_the_command_with_groups(store: Store) -> None:
    arguments = [
        "evaluate",
        store.single,
        "--split",
        "val",
        "--groups",
        "view",
        "--groups-from",
        str(view_table(store.folder)),
    ]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [group["value"] for group in document["groups"]] == ["", "AP", "PA"]
    assert document["groups"][2]["figures"]["accuracy"].keys() == {"value", "low", "high"}
    text = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})
    assert text.exit_code == 0, text.output
    (line,) = [line for line in text.stdout.splitlines() if line.startswith("│ view PA")]
    low = document["groups"][2]["figures"]["accuracy"]["low"]
    assert f"({low:.3f}–" in line
    (line,) = [line for line in text.stdout.splitlines() if line.startswith("│ view AP")]
    assert "no image of " in line or "rests on " in line


@pytest.mark.parametrize(
    ("options", "wants"),
    [
        (["--groups", " , "], "--groups ' , '"),
        (["--groups", "sex"], "--groups sex: no 'val_sex' in"),
        (["--groups", "sex", "--groups-from", "none.csv"], "--groups-from none.csv: cannot be read as CSV"),
    ],
)
def test_groups_that_are_refused(store: Store, options: list[str], wants: str) -> None:
    result = CliRunner().invoke(app, ["evaluate", store.single, "--split", "val", *options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert wants in result.stderr
    assert len(result.stderr.splitlines()) == 1
