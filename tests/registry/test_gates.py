"""Gates for promotion: each at its limit, and what a refusal leaves as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from helpers.registry import Promoted, artifact, registered_models, set_gates
from typer.testing import CliRunner

from mobilenet_chest.cli.app import app
from mobilenet_chest.errors import PromotionRefused, TrackingError
from mobilenet_chest.evaluation.bootstrap import bootstrap
from mobilenet_chest.evaluation.calibration import reliability
from mobilenet_chest.evaluation.crossfit import crossfit_correct
from mobilenet_chest.evaluation.delong import auc_difference
from mobilenet_chest.evaluation.intervals import wilson
from mobilenet_chest.evaluation.significance import mcnemar
from mobilenet_chest.registry.gates import GateResult, check_promotable, gate_table, gate_tags, judge_run
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.tracking import artifacts, runs

if TYPE_CHECKING:
    from helpers.stores import Store


def judged(store: Store, run_id: str, gates: dict[str, Any], accesses: int = 1) -> list[GateResult]:
    """Return the results of the gates that judge the run alone."""
    set_gates(store, run_id, gates)
    run = store.run(run_id)
    return judge_run(store.client, runs.Candidate(run), artifacts.run_config(store.client, run), accesses)


def held_against(store: Store, run_id: str, gates: dict[str, Any], current: str | None) -> list[GateResult]:
    """Return the results of the gates that compare the run with the current version."""
    set_gates(store, run_id, gates)
    run = store.run(run_id)
    candidate, config = runs.Candidate(run), artifacts.run_config(store.client, run)
    try:
        return check_promotable(store.client, candidate, config, "tiny", current, (), even_if_worse=True)[1]
    except PromotionRefused as refusal:
        return list(refusal.gates)


def predictions(store: Store, run_id: str) -> tuple[np.ndarray, np.ndarray]:
    table = artifacts.stored_predictions(store.client, store.run(run_id), "val")
    return table["label"].to_numpy(), table["probability_tta"].to_numpy()


class TestRunAlone:
    def test_without_gates_nothing_is_judged(self, store: Store) -> None:
        run = store.run(store.single)
        assert judge_run(store.client, runs.Candidate(run), artifacts.run_config(store.client, run), 1) == []

    @pytest.mark.parametrize(("gate", "label"), [("sensitivity", 1), ("specificity", 0)])
    def test_the_lower_end_of_the_interval_counts(self, store: Store, gate: str, label: int) -> None:
        path = artifact(store, store.single, "predictions/val.parquet")
        table = pd.read_parquet(path)
        wrong = np.arange(len(table)) % 4 == 0
        table.assign(probability_tta=np.where((table["label"] == 1) != wrong, 0.9, 0.1)).to_parquet(path, index=False)
        shown = (table["label"] == label).to_numpy()
        right, images = int((shown & ~wrong).sum()), int(shown.sum())
        interval = wilson(right, images)
        # a limit between the lower end and the value: refused
        (refused,) = judged(store, store.single, {gate: (interval.low + interval.value) / 2})
        (passed,) = judged(store, store.single, {gate: interval.low - 1e-6})
        assert (refused.gate, refused.figure, refused.passed) == (gate, interval.low, False)
        assert (passed.gate, passed.figure, passed.bound, passed.passed) == (
            gate,
            interval.low,
            interval.low - 1e-6,
            True,
        )
        assert f"{right} of {images} images" in passed.detail

    def test_patients_with_several_images_are_drawn_whole(self, store: Store) -> None:
        path = artifact(store, store.single, "predictions/val.parquet")
        table = pd.read_parquet(path)
        patients = table["row"].to_numpy() // 5
        right = patients % 3 > 0  # all of a patient's images, or none
        table = table.assign(probability_tta=np.where((table["label"] == 1) == right, 0.9, 0.1))
        table.to_parquet(path, index=False)
        (alone,) = judged(store, store.single, {"sensitivity": 0.1})
        table.assign(patient=patients.astype(str)).to_parquet(path, index=False)
        (result,) = judged(store, store.single, {"sensitivity": 0.1})
        labels, scores = table["label"].to_numpy(), table["probability_tta"].to_numpy()
        expected = bootstrap(
            labels, scores, lambda drawn, drawn_scores: float((drawn_scores[drawn == 1] > 0.5).mean()), groups=patients
        )
        assert result.figure == expected.low
        assert isinstance(alone.figure, float)
        assert expected.low < alone.figure - 0.05

    def test_calibration_of_the_stored_predictions(self, store: Store) -> None:
        expected = reliability(*predictions(store, store.single))
        (passed,) = judged(store, store.single, {"ece": expected.ece + 1e-6})
        (refused,) = judged(store, store.single, {"ece": expected.ece - 1e-6})
        assert (passed.figure, passed.passed, refused.passed) == (expected.ece, True, False)
        assert f"{expected.ece:.4f}" in passed.detail
        assert f"{expected.bias:.4f}" in passed.detail

    def test_latency_is_measured_here(self, store: Store) -> None:
        (passed,) = judged(store, store.single, {"latency_ms": 60_000})
        (refused,) = judged(store, store.single, {"latency_ms": 1e-4})
        assert passed.passed
        assert not refused.passed
        assert isinstance(refused.figure, float)
        assert 1e-4 < refused.figure < 60_000

    @pytest.mark.parametrize(("tag", "passed"), [("false", True), ("true", False), ("unknown", False)])
    def test_committed_code(self, store: Store, tag: str, passed: bool) -> None:
        store.client.set_tag(store.single, "git_dirty", tag)
        (result,) = judged(store, store.single, {"clean_git": True})
        assert (result.figure, result.passed) == (tag, passed)

    @pytest.mark.parametrize(("accesses", "passed"), [(1, True), (2, True), (3, False)])
    def test_accesses_to_the_test_split(self, store: Store, accesses: int, passed: bool) -> None:
        (result,) = judged(store, store.single, {"test_openings": 2}, accesses)
        assert (result.figure, result.bound, result.passed) == (accesses, 2, passed)


class TestBaseline:
    def test_a_baseline_by_its_study_and_by_its_run(self, store: Store) -> None:
        best = store.trials[store.best]
        (labels, scores), (_, other_scores) = predictions(store, store.single), predictions(store, best)
        expected = auc_difference(labels, scores, other_scores, level=0.9)
        for reference in ("dropout-study", best):
            asked = {"reference": reference, "margin": -expected.low + 1e-6}
            (passed,) = judged(store, store.single, {"baseline": asked})
            (refused,) = judged(store, store.single, {"baseline": asked | {"margin": -expected.low - 1e-6}})
            assert (passed.gate, passed.figure, passed.passed) == ("baseline", expected.low, True)
            assert (refused.figure, refused.passed) == (expected.low, False)
            direction = "lower" if expected.value < 0 else "higher"
            shown = f"val_auc_tta {abs(expected.value):.4f} {direction} than baseline {reference}"
            assert shown in refused.detail

    def test_confidence_and_accuracy(self, store: Store) -> None:
        best = store.trials[store.best]
        config = artifacts.run_config(store.client, store.run(store.single))
        (labels, scores), (_, other_scores) = predictions(store, store.single), predictions(store, best)
        seed = artifacts.run_config(store.client, store.run(best)).seed
        expected = mcnemar(
            crossfit_correct(labels, scores, config.evaluation, config.seed),
            crossfit_correct(labels, other_scores, config.evaluation, seed),
            level=0.98,
        )
        asked = {"reference": best, "margin": 0.1, "confidence": 0.99, "metric": "val_accuracy_crossfit"}
        (result,) = judged(store, store.single, {"baseline": asked})
        assert result.figure == pytest.approx(expected.low)
        assert "one-sided 99% lower bound" in result.detail

    def test_an_unknown_baseline(self, store: Store) -> None:
        asked = {"reference": "dropout-studi", "margin": 0.02}
        with pytest.raises(TrackingError, match=r"gates\.baseline\.reference: .*'dropout-study'"):
            judged(store, store.single, {"baseline": asked})

    def test_the_run_itself_is_not_inferior(self, store: Store) -> None:
        (result,) = judged(store, store.single, {"baseline": {"reference": store.single, "margin": 0}})
        assert (result.figure, result.passed, result.detail) == (0.0, True, f"baseline {store.single} is this run")

    def test_other_rows_are_not_compared(self, store: Store) -> None:
        asked = {"baseline": {"reference": store.trials[0], "margin": 0.5}}
        path = artifact(store, store.trials[0], "predictions/val.parquet")
        table = pd.read_parquet(path)
        table.assign(row=table["row"] + 1).to_parquet(path, index=False)
        (result,) = judged(store, store.single, asked)
        assert (result.figure, result.passed) == (None, False)
        assert "the two were not scored on the same images" in result.detail
        store.client.set_tag(store.trials[0], "val_digest", "0123456789abcdef")
        (result,) = judged(store, store.single, asked)
        assert not result.passed
        assert "scored on rows with digest 0123456789abcdef" in result.detail
        path.unlink()
        store.client.set_tag(store.trials[0], "val_digest", store.run(store.single).data.tags["val_digest"])
        (result,) = judged(store, store.single, asked)
        assert not result.passed
        assert "no predictions/val.parquet that can be read" in result.detail


class TestChampion:
    GATES: dict[str, Any] = {"champion": {"margin": 0.02}, "same_data": True}  # noqa: RUF012

    def test_the_first_version_has_no_champion(self, store: Store) -> None:
        champion, data = held_against(store, store.single, self.GATES, None)
        assert (champion.figure, champion.bound, champion.passed) == (None, -0.02, True)
        digest = store.run(store.single).data.tags["data_digest"]
        assert (data.figure, data.bound, data.passed) == (digest, digest, True)

    def test_a_champion(self, promoted: Promoted) -> None:
        store, promotion = promoted
        (labels, scores), (_, other_scores) = predictions(store, store.single), predictions(store, promotion.run_id)
        expected = auc_difference(labels, scores, other_scores, level=0.9)
        for margin, passed in ((-expected.low + 1e-6, True), (-expected.low - 1e-6, False)):
            (result,) = held_against(store, store.single, {"champion": {"margin": margin}}, "1")
            assert (result.gate, result.figure, result.passed) == ("champion", expected.low, passed)
            assert "than version 1" in result.detail

    def test_other_data_than_the_champion(self, promoted: Promoted) -> None:
        store, _ = promoted
        (same,) = held_against(store, store.single, {"same_data": True}, "1")
        assert same.passed
        store.client.set_model_version_tag("tiny", "1", "data_digest", "0123456789abcdef")
        (other,) = held_against(store, store.single, {"same_data": True}, "1")
        assert (other.bound, other.passed) == ("0123456789abcdef", False)
        assert "version 1 has 0123456789abcdef" in other.detail

    def test_even_if_worse_does_not_overrule_a_gate(self, promoted: Promoted) -> None:
        store, _ = promoted
        set_gates(store, store.single, {"champion": {"margin": 0}})
        with pytest.raises(PromotionRefused) as caught:
            promote(store.single, even_if_worse=True)
        (reason,) = caught.value.reasons
        assert reason.startswith("gate champion failed: val_auc_tta ")


class TestPromotion:
    FAILING: dict[str, Any] = {  # noqa: RUF012
        "sensitivity": 0.999, "specificity": 0.999, "ece": 1e-6, "latency_ms": 1e-4, "clean_git": True,
        "test_openings": 1,
    }  # fmt: skip

    @pytest.fixture
    def refuse(self, promoted: Promoted) -> Callable[[], Store]:
        store, promotion = promoted
        store.client.set_tag(store.single, "git_dirty", "true")
        baseline = {"reference": promotion.run_id, "margin": 0}
        set_gates(store, store.single, self.FAILING | {"champion": {"margin": 0}, "baseline": baseline})
        return lambda: store

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_a_refusal_names_every_gate_and_changes_nothing(self, refuse: Callable[[], Store], dry_run: bool) -> None:
        store = refuse()
        before, run_before = registered_models(store.client), store.run(store.single).data.to_dictionary()
        with pytest.raises(PromotionRefused) as caught:
            promote(store.single, dry_run=dry_run)
        assert caught.value.exit_code == 3
        named = re.findall(r"gate (\w+) failed", str(caught.value))
        assert named == ["champion", "baseline", "sensitivity", "specificity", "ece", "latency_ms", "clean_git"]
        assert "the run is worse than version 1" in caught.value.reasons[0]
        # the promotion itself would be the first access for this run
        assert {result.gate: result.passed for result in caught.value.gates}["test_openings"]
        assert registered_models(store.client) == before
        assert store.run(store.single).data.to_dictionary() == run_before

    def test_the_command_exits_with_3(self, refuse: Callable[[], Store]) -> None:
        store = refuse()
        done = CliRunner().invoke(app, ["promote", store.single, "--dry-run", "--json"])
        assert done.exit_code == 3
        document = json.loads(done.stdout)
        assert (document["promoted"], len(document["reasons"]), len(document["gates"])) == (False, 8, 8)
        first = document["gates"][0]
        assert first.keys() == {"gate", "figure", "bound", "passed", "detail"}
        assert (first["gate"], first["bound"], first["passed"]) == ("champion", 0.0, False)
        plain = CliRunner().invoke(app, ["promote", store.single, "--dry-run"])
        assert plain.exit_code == 3
        assert "gate test_openings passed: " in plain.stdout

    @pytest.mark.usefixtures("packed", "loaded_here")
    def test_passed_gates_are_on_record(self, store: Store) -> None:
        best = store.trials[store.best]
        store.client.set_tag(best, "git_dirty", "false")
        gates = {"champion": {"margin": 0.02}, "baseline": {"reference": store.single, "margin": 0.9},
                 "sensitivity": 0.01, "latency_ms": 60_000, "clean_git": True, "same_data": True,
                 "test_openings": 1}  # fmt: skip
        set_gates(store, best, gates)
        plan = promote("dropout-study", dry_run=True)
        assert [result.gate for result in plan.gates] == [
            "champion", "same_data", "baseline", "sensitivity", "latency_ms", "clean_git", "test_openings",
        ]  # fmt: skip
        assert registered_models(store.client) == {}
        done = promote("dropout-study")
        assert done.promoted
        assert {result.gate: result.passed for result in done.gates} == dict.fromkeys(gates, True)
        version = store.client.get_model_version("tiny", "1")
        on_version = {name: value for name, value in version.tags.items() if name.startswith("gate_")}
        assert on_version == gate_tags(done.gates)
        assert on_version["gate_test_openings"] == "passed: 1, bound 1"
        assert on_version["gate_clean_git"] == "passed: false, bound false"
        assert gate_table(done.gates) in version.description
        assert "| sensitivity | " in version.description
        again = promote("dropout-study")
        assert again.reasons == ["the alias 'champion' already points to this run"]
