"""Groups of a finished run's images: scored with the run, and refused before the test split is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from mobilenet_chest.cli.app import app
from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.evaluation.intervals import wilson
from mobilenet_chest.selection.evaluate import evaluate
from mobilenet_chest.tracking.artifacts import stored_predictions

if TYPE_CHECKING:
    from helpers.stores import Store

Rewrite = Callable[..., None]


def test_groups_of_validation(store: Store, rewrite_data: Rewrite) -> None:
    sex = np.where(np.arange(40) % 3, "F", "M")
    rewrite_data(val_sex=sex)
    evaluation = evaluate(store.single, "val", groups=["sex"])
    run = store.run(store.single)
    table, threshold = stored_predictions(store.client, run, "val"), run.data.metrics["threshold"]
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
    alone = evaluate(store.single, "val", groups=["view"], groups_from=_table(store.folder)).groups
    assert alone[0].patients is None
    rewrite_data(val_patients=np.arange(40) // 5)
    groups = evaluate(store.single, "val", groups=["view"], groups_from=_table(store.folder)).groups
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


def _table(folder: Path) -> Path:
    path = folder / "view.csv"
    path.write_text("split,row,view\n" + "".join(f"val,{row},{'PA' if row < 30 else 'AP'}\n" for row in range(40)))
    return path


def test_the_command(store: Store) -> None:
    arguments = [
        "evaluate",
        store.single,
        "--split",
        "val",
        "--groups",
        "view",
        "--groups-from",
        str(_table(store.folder)),
    ]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [group["value"] for group in document["groups"]] == ["", "AP", "PA"]
    assert document["groups"][2]["figures"]["accuracy"].keys() == {"value", "low", "high"}
    text = CliRunner().invoke(app, arguments)
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
def test_wrong_input(store: Store, options: list[str], wants: str) -> None:
    result = CliRunner().invoke(app, ["evaluate", store.single, "--split", "val", *options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert wants in result.stderr
    assert len(result.stderr.splitlines()) == 1
