"""Comparisons: rows, intervals, differences from a baseline, and ties."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.evaluation.bootstrap import bootstrap, bootstrap_difference
from mobilenet_chest.evaluation.calibration import brier
from mobilenet_chest.evaluation.delong import auc_difference, auc_interval
from mobilenet_chest.evaluation.intervals import wilson
from mobilenet_chest.evaluation.significance import holm
from mobilenet_chest.selection.compare import compare
from mobilenet_chest.selection.rows import REPORTED, Row
from mobilenet_chest.tracking.run_metrics import metrics_of

if TYPE_CHECKING:
    from helpers.stores import Store


def by_id(rows: list[Row]) -> dict[str | None, Row]:
    return {row.run_id: row for row in rows}


def test_everything_is_the_studies_best_and_the_finished_trainings(store: Store) -> None:
    rows = by_id(compare([]))
    assert set(rows) == {store.trials[store.best], store.single}
    assert {(row.name, row.kind) for row in rows.values()} == {("dropout-study", "study"), ("single", "run")}


def test_a_row_carries_the_run_s_metrics(store: Store) -> None:
    (row,) = compare([store.single])
    run = store.run(store.single)
    stored = metrics_of(run)
    assert row.metrics == stored | {"tta_gain": stored["val_accuracy_tta"] - stored["val_accuracy"]}
    assert (row.name, row.run_id, row.kind, row.model) == ("single", store.single, "run", "timm:mobilenetv2_050")
    # the backbone's 687,392 (with a one-channel stem), then Linear(1280, 8) and Linear(8, 1)
    assert row.parameters == 687_392 + 1281 * 8 + 9 == stored["parameters"]
    assert row.dataset == f"chestmnist {run.data.tags['val_digest']}"
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


def test_the_baseline_is_first_and_the_others_are_compared_with_it(store: Store) -> None:
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
    store.client.log_metric(store.single, "cost/train_seconds", 30, step=99)
    store.client.log_metric(other, "cost/train_seconds", 15, step=99)
    rows = by_id(compare([other], baseline=store.single))
    assert rows[other].baseline["speed_ratio"] == 2


def test_a_study_may_be_the_baseline(store: Store) -> None:
    first, _ = compare([], baseline="dropout-study")
    assert (first.run_id, first.kind) == (store.trials[store.best], "study")


def test_runs_on_other_rows_have_no_differences(store: Store) -> None:
    store.client.set_tag(store.trials[0], "val_digest", "0123456789abcdef")
    rows = by_id(compare([store.trials[0]], baseline=store.single))
    assert rows[store.trials[0]].baseline.keys() == {"speed_ratio"}


def test_a_baseline_must_be_one_run(store: Store) -> None:
    with pytest.raises(TrackingError, match="'tiny-runs'.* 2 runs"):
        compare([], baseline="tiny-runs")


def test_an_unknown_reference_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match="'dropout-study'"):
        compare([store.single, "dropout-stud"])


def test_an_empty_store_has_no_rows(tracking: Path) -> None:
    assert compare([]) == []


def predictions_file(store: Store, run_id: str) -> Path:
    (path,) = store.folder.glob(f"mlruns/*/{run_id}/artifacts/predictions/val.parquet")
    return path


def rewrite(store: Store, run_id: str, **columns: Any) -> None:
    table = pd.read_parquet(predictions_file(store, run_id))
    table.assign(**columns).to_parquet(predictions_file(store, run_id), index=False)


def separating(store: Store, run_id: str, share: float) -> dict[str, Any]:
    """Probabilities that are right but for a share of the images."""
    label = pd.read_parquet(predictions_file(store, run_id))["label"].to_numpy()
    wrong = np.random.default_rng(5).permutation(len(label)) < share * len(label)
    scores = np.where((label == 1) ^ wrong, 0.9, 0.1) + 0.01 * np.arange(len(label)) / len(label)
    return {"probability": scores, "probability_tta": scores}


def noisy(store: Store, run_id: str, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels and other probabilities, stored as the run's with the Brier score that they have."""
    label = pd.read_parquet(predictions_file(store, run_id))["label"].to_numpy()
    scores = expit(2 * label - 1 + noise * np.random.default_rng(6).normal(size=len(label)))
    rewrite(store, run_id, probability=scores, probability_tta=scores)
    store.client.log_metric(run_id, "final/val_brier", brier(label, scores), step=99)
    return label, scores


class TestIntervals:
    def test_of_the_stored_predictions(self, store: Store) -> None:
        (row,) = compare([store.single])
        table = pd.read_parquet(predictions_file(store, store.single))
        label, n = table["label"].to_numpy(), len(table)
        assert row.intervals["val_auc"] == auc_interval(label, table["probability"].to_numpy())
        assert row.intervals["val_auc_tta"] == auc_interval(label, table["probability_tta"].to_numpy())
        for name in ("val_accuracy", "val_accuracy_crossfit", "val_accuracy_tta_threshold"):
            assert row.intervals[name] == wilson(round(row.metrics[name] * n), n)
            assert row.intervals[name].value == row.metrics[name]
        assert row.intervals["val_auc"].value == pytest.approx(row.metrics["val_auc"], abs=1e-12)
        assert (row.comparable, row.reason, row.best, row.tied, row.differences) == (True, None, False, False, {})

    def test_of_a_metric_that_was_asked_for(self, store: Store) -> None:
        worse, better = store.trials[0], store.single
        (label, first), (_, second) = noisy(store, better, 0.1), noisy(store, worse, 1.5)
        plain, asked = (by_id(compare([worse], baseline=better, metric=name)) for name in (None, "val_brier"))
        assert "val_brier" not in plain[worse].intervals
        assert plain[worse].differences.keys() == {"val_auc", "val_accuracy_crossfit"}
        assert vars(asked[worse].intervals["val_brier"]) == pytest.approx(vars(bootstrap(label, second, brier)))
        comparison, expected = asked[worse].differences["val_brier"], bootstrap_difference(label, second, first, brier)
        assert [comparison.value, comparison.low, comparison.high, comparison.p] == pytest.approx(
            list(vars(expected).values())
        )
        assert comparison.verdict == "worse"
        assert asked[worse].baseline["val_brier"] == pytest.approx(expected.value)

    def test_a_metric_that_is_none(self, store: Store) -> None:
        for metric, meant in (("val_briar", "val_brier"), ("val_acc", "val_auc"), ("val_AUC", "val_auc")):
            with pytest.raises(UserError, match=f"--metric {metric}; .*'{meant}'.*: val_auc, "):
                compare([store.single], metric=metric)

    def test_what_tta_gains(self, store: Store) -> None:
        (row,) = compare([store.single])
        interval = row.intervals["tta_gain"]
        assert interval.value == pytest.approx(row.metrics["tta_gain"])
        assert interval.low <= interval.value <= interval.high
        assert interval.low < interval.high

    @pytest.mark.parametrize("damage", ["missing", "cut", "column", "nan"])
    def test_a_run_whose_predictions_cannot_be_read_says_why(self, store: Store, damage: str) -> None:
        file = predictions_file(store, store.trials[0])
        if damage == "missing":
            file.unlink()
        elif damage == "cut":
            file.write_bytes(file.read_bytes()[:-100])
        elif damage == "column":
            pd.read_parquet(file).drop(columns="probability").to_parquet(file)
        else:
            rewrite(store, store.trials[0], probability=np.nan)
        rows = by_id(compare([store.trials[0], store.single]))
        assert rows[store.trials[0]].intervals == {}
        assert not rows[store.trials[0]].comparable
        assert str(rows[store.trials[0]].reason).startswith("no predictions/val.parquet that can be read (")
        assert rows[store.single].intervals
        first, second = compare([store.trials[0]], baseline=store.single)
        assert second.reason == rows[store.trials[0]].reason
        assert (first.comparable, second.differences) == (True, {})
        _, second = compare([store.single], baseline=store.trials[0])
        assert second.reason == f"the baseline cannot be paired: {rows[store.trials[0]].reason}"


class TestDifferences:
    def test_to_the_baseline_with_a_verdict(self, store: Store) -> None:
        worse, better = store.trials[0], store.trials[1]
        rewrite(store, store.single, **separating(store, store.single, 0.25))
        rewrite(store, better, **separating(store, better, 0.0))
        rewrite(store, worse, **separating(store, worse, 0.8))
        rows = by_id(compare([better, worse], baseline=store.single))
        assert rows[store.single].differences == {}
        for metric in ("val_auc", "val_accuracy_crossfit"):
            assert rows[worse].differences[metric].verdict == "worse"
            assert rows[worse].differences[metric].not_inferior is None
        comparisons = rows[better].differences
        assert comparisons["val_auc"].verdict == "better"
        table = pd.read_parquet(predictions_file(store, store.single))
        label, scores = table["label"].to_numpy(), separating(store, better, 0.0)["probability"]
        expected = auc_difference(label, scores, table["probability"].to_numpy())
        auc = comparisons["val_auc"]
        assert (auc.value, auc.low, auc.high, auc.p) == (expected.value, expected.low, expected.high, expected.p)
        both = [rows[run_id].differences["val_auc"] for run_id in (better, worse)]
        assert [comparison.p_holm for comparison in both] == holm([comparison.p for comparison in both])

    def test_with_a_margin(self, store: Store) -> None:
        rewrite(store, store.trials[0], **separating(store, store.single, 0.25))
        rewrite(store, store.single, **separating(store, store.single, 0.25))
        (_, row) = compare([store.trials[0]], baseline=store.single, margin=0.01)
        # of the accuracy 34 images say less than of the AUC of two equal rankings
        assert [verdict.verdict for verdict in row.differences.values()] == ["not inferior", "cannot tell"]
        (_, row) = compare([store.trials[0]], baseline=store.single, margin=0.2)
        assert [verdict.verdict for verdict in row.differences.values()] == ["not inferior"] * 2
        (_, row) = compare([store.trials[0]], baseline=store.single)
        assert [verdict.verdict for verdict in row.differences.values()] == ["cannot tell"] * 2

    @pytest.mark.parametrize("margin", [0.0, 1.0, -0.1, float("nan")])
    def test_a_margin_that_is_none(self, store: Store, margin: float) -> None:
        with pytest.raises(UserError, match=f"--margin {margin:g}: .*0 and 1"):
            compare([], baseline=store.single, margin=margin)

    def test_a_margin_against_nothing(self, tracking: Path) -> None:
        with pytest.raises(UserError, match="--baseline"):
            compare([], margin=0.01)

    def test_other_data_are_refused_with_both_digests(self, store: Store) -> None:
        store.client.set_tag(store.trials[0], "val_digest", "0123456789abcdef")
        digest = store.run(store.single).data.tags["val_digest"]
        row = by_id(compare([*store.trials], baseline=store.single))[store.trials[0]]
        assert not row.comparable
        assert row.reason == (
            f"scored on other images than the baseline: chestmnist 0123456789abcdef, not chestmnist {digest}"
        )
        assert row.differences == {}
        assert row.intervals

    def test_other_rows_of_the_same_data_are_refused_with_both_digests(self, store: Store) -> None:
        file = predictions_file(store, store.trials[0])
        pd.read_parquet(file).iloc[1:].to_parquet(file, index=False)
        row = by_id(compare([*store.trials], baseline=store.single))[store.trials[0]]
        assert not row.comparable
        digest = store.run(store.single).data.tags["val_digest"]
        assert re.fullmatch(
            rf"scored on other rows of chestmnist {digest} than the baseline: digest (\w{{16}}), not (?!\1)\w{{16}}",
            str(row.reason),
        )
        assert row.baseline.keys() == {"speed_ratio"}


class TestTied:
    def test_with_the_best_of_the_same_images(self, store: Store) -> None:
        best, tied, bad = store.single, *store.trials
        for run_id, share, auc in ((best, 0.0, 0.99), (tied, 0.05, 0.98), (bad, 0.6, 0.4)):
            rewrite(store, run_id, **separating(store, run_id, share))
            store.client.log_metric(run_id, "final/val_auc", auc, step=99)
        rows = compare([best, tied, bad])
        assert [(row.run_id, row.best, row.tied) for row in rows] == [
            (best, True, True), (tied, False, True), (bad, False, False),
        ]  # fmt: skip

    def test_with_no_other(self, store: Store) -> None:
        for run_id, share, auc in ((store.single, 0.0, 0.99), (store.trials[0], 0.6, 0.4)):
            rewrite(store, run_id, **separating(store, run_id, share))
            store.client.log_metric(run_id, "final/val_auc", auc, step=99)
        rows = compare([store.single, store.trials[0]])
        assert [(row.best, row.tied) for row in rows] == [(True, False), (False, False)]

    def test_not_with_runs_of_other_images(self, store: Store) -> None:
        store.client.set_tag(store.single, "val_digest", "0123456789abcdef")
        rows = compare([store.single, store.trials[0]])
        assert [(row.best, row.tied, row.comparable) for row in rows] == [(False, False, True)] * 2


def test_reported_rows_follow_the_runs_on_request(store: Store) -> None:
    rows = compare([store.single], baseline=store.single, reported=True)
    assert [row.kind for row in rows] == ["run", *["reported"] * len(REPORTED)]
    assert rows[1:] == list(REPORTED)
