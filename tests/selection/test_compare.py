"""Rows of a comparison, differences from a baseline, and the source report's figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mobilenet_chest.errors import TrackingError
from mobilenet_chest.selection.compare import REPORTED, Row, compare

if TYPE_CHECKING:
    from tests.selection.conftest import Store


def by_id(rows: list[Row]) -> dict[str | None, Row]:
    return {row.run_id: row for row in rows}


def test_everything_is_the_studies_best_and_the_finished_trainings(store: Store) -> None:
    rows = by_id(compare([]))
    assert set(rows) == {store.trials[store.best], store.single}
    assert {(row.name, row.kind) for row in rows.values()} == {("dropout-study", "study"), ("single", "run")}


def test_a_row_carries_the_run_s_own_figures(store: Store) -> None:
    (row,) = compare([store.single])
    run = store.run(store.single)
    stored = run.data.metrics
    assert row.metrics == stored | {"tta_gain": stored["val_accuracy_tta"] - stored["val_accuracy"]}
    assert (row.name, row.run_id, row.kind, row.model) == ("single", store.single, "run", "timm:mobilenetv2_050")
    # the backbone's 687,392 (with a one-channel stem), then Linear(1280, 8) and Linear(8, 1)
    assert row.parameters == 687_392 + 1281 * 8 + 9 == stored["parameters"]
    assert row.dataset == f"chestmnist {run.data.tags['data_digest']}"
    assert row.baseline == {}


def test_rows_come_best_auc_first_and_each_run_once(store: Store) -> None:
    rows = compare([*store.trials, store.single, store.single, store.trials[0]])
    assert len(rows) == 3
    reached = [row.metrics["val_auc"] for row in rows]
    assert reached == sorted(reached, reverse=True)


def test_system_metrics_are_left_out(store: Store) -> None:
    store.client.log_metric(store.single, "system/cpu_utilization_percentage", 50)
    (row,) = compare([store.single])
    assert not [name for name in row.metrics if name.startswith("system/")]


def test_the_baseline_is_first_and_the_others_are_set_against_it(store: Store) -> None:
    first, second = compare(["tiny-runs"], baseline=store.single)
    assert (first.run_id, second.run_id) == (store.single, store.trials[store.best])
    assert first.baseline == {"speed_ratio": 1, "val_auc": 0, "val_accuracy_crossfit": 0}
    ours, base = second.metrics, first.metrics
    assert second.baseline == {
        "speed_ratio": base["train_seconds"] / ours["train_seconds"],
        "val_auc": ours["val_auc"] - base["val_auc"],
        "val_accuracy_crossfit": ours["val_accuracy_crossfit"] - base["val_accuracy_crossfit"],
    }


def test_a_run_twice_as_fast_has_a_speed_ratio_of_two(store: Store) -> None:
    other = store.trials[0]
    store.client.log_metric(store.single, "train_seconds", 30, step=99)
    store.client.log_metric(other, "train_seconds", 15, step=99)
    rows = by_id(compare([other], baseline=store.single))
    assert rows[other].baseline["speed_ratio"] == 2


def test_a_study_may_be_the_baseline(store: Store) -> None:
    first, _ = compare([], baseline="dropout-study")
    assert (first.run_id, first.kind) == (store.trials[store.best], "study")


def test_runs_on_other_rows_have_no_differences(store: Store) -> None:
    store.client.set_tag(store.trials[0], "data_digest", "0123456789abcdef")
    rows = by_id(compare([store.trials[0]], baseline=store.single))
    assert rows[store.trials[0]].baseline.keys() == {"speed_ratio"}


def test_a_baseline_must_be_one_run(store: Store) -> None:
    with pytest.raises(TrackingError, match="'tiny-runs' stands for 2 runs"):
        compare([], baseline="tiny-runs")


def test_an_unknown_reference_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match="did you mean 'dropout-study'"):
        compare([store.single, "dropout-stud"])


def test_an_empty_store_has_no_rows(tracking: Path) -> None:
    assert compare([]) == []


class TestReported:
    def test_they_follow_the_runs_on_request(self, store: Store) -> None:
        rows = compare([store.single], baseline=store.single, reported=True)
        assert [row.kind for row in rows] == ["run", *["reported"] * len(REPORTED)]
        assert rows[1:] == list(REPORTED)

    def test_none_claims_a_run_or_is_set_against_a_baseline(self) -> None:
        assert {(row.kind, row.run_id, row.dataset) for row in REPORTED} == {
            ("reported", None, "chestmnist (as reported)")
        }
        assert all(row.baseline == {} for row in REPORTED)

    @pytest.mark.parametrize(
        ("name", "model", "parameters", "metrics"),
        [
            ("MobileNetV3-Large, stage 1", "mobilenet_v3_large", 5_022_225, (0.7475, None, 2.8)),
            ("MobileNetV3-Large, stage 2", "mobilenet_v3_large", 5_022_225, (0.8918, None, 8.3)),
            ("MobileNetV3-Large, TTA + threshold", "mobilenet_v3_large", 5_022_225, (None, 0.8951, 11.1)),
            ("DenseNet121, best of five seeds", "densenet121", 7_600_000, (0.9246, None, 19.6)),
            ("DenseNet121, single", "densenet121", 7_600_000, (0.9180, None, None)),
            ("DenseNet121, five-seed ensemble", "densenet121", 38_000_000, (0.9213, None, 72.0)),
        ],
    )
    def test_they_carry_the_report_s_figures(
        self, name: str, model: str, parameters: int, metrics: tuple[float | None, float | None, float | None]
    ) -> None:
        (row,) = [row for row in REPORTED if row.name == name]
        plain, best, minutes = metrics
        assert (row.model, row.parameters) == (model, parameters)
        assert row.metrics.get("val_accuracy") == plain
        assert row.metrics.get("val_accuracy_tta_threshold") == best
        assert row.metrics.get("train_seconds") == (None if minutes is None else pytest.approx(minutes * 60))
        assert row.metrics.get("threshold") == (0.67 if best else None)

    def test_there_are_no_others(self) -> None:
        assert len(REPORTED) == 6
