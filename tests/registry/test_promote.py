"""Promotion: a version that predicts as the run did takes the alias, or everything stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import numpy as np
import pytest
from helpers.registry import Promoted, artifact_sizes, change_probability, registered_models

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data.dataset import load_test, load_train_val
from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.errors import DataError, PromotionRefused, SealedError, TrackingError
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.registry import package
from mobilenet_chest.registry.classifier import file_preparation
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.selection import evaluate as evaluate_module
from mobilenet_chest.tracking import artifacts, tags
from mobilenet_chest.tracking.parents import training_tracker, with_parent
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.two_stage import train

if TYPE_CHECKING:
    from helpers.stores import Store


def test_the_preparation_of_a_data_file(tmp_path: Path) -> None:
    def of_file(**arrays: np.ndarray[Any, Any]) -> Preparation | None:
        np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
        return file_preparation(DataConfig(dataset="pneumoniamnist", path=tmp_path / "a.npz"))

    preparation = Preparation(64, bits=12)
    assert of_file(preparation=np.array(preparation.to_json())) == preparation
    assert of_file(train_labels=np.zeros((1, 1), np.uint8)) is None
    with pytest.raises(DataError, match="preparation"):
        of_file(preparation=np.array("{}"))


class TestPromoted:
    def test_the_best_trial_is_version_1_and_champion(self, promoted: Promoted) -> None:
        store, promotion = promoted
        assert (promotion.name, promotion.version, promotion.alias) == ("tiny", "1", "champion")
        assert promotion.promoted
        assert promotion.run_id == store.trials[store.best]
        version = store.client.get_model_version_by_alias("tiny", "champion")
        assert (str(version.version), version.run_id) == ("1", promotion.run_id)
        assert len(promotion.reasons) == 1
        assert "equal the run's on 34 validation images" in promotion.reasons[0]

    def test_the_test_split_was_opened_once(self, promoted: Promoted) -> None:
        store, promotion = promoted
        run = store.run(promotion.run_id)
        assert run.data.tags["test_evaluations"] == "1"
        assert promotion.test == {name: metrics_of(run)[name] for name in promotion.test}
        (access,) = promotion.openings
        assert (access.study, access.run_id, access.result) == ("dropout-study", promotion.run_id, promotion.test)
        assert str(access.who).endswith(", promote")
        assert {"test_auc", "test_accuracy_tta_threshold", "test_sensitivity"} <= promotion.test.keys()
        table = artifacts.stored_predictions(store.client, run, "test")
        np.testing.assert_array_equal(table["row"], load_test(store.config().data).rows)
        assert promotion.intervals.keys() == promotion.test.keys()
        assert promotion.intervals["test_auc"] == auc_interval(
            table["label"].to_numpy(), table["probability"].to_numpy()
        )

    def test_another_trial_of_the_study_would_be_a_second_access(self, promoted: Promoted, packed: None) -> None:
        store, promotion = promoted
        other = store.trials[1 - store.best]
        before = registered_models(store.client)
        for dry_run in (True, False):
            with pytest.raises(SealedError, match=f"study 'dropout-study' once .*run {promotion.run_id[:8]}") as caught:
                promote(other, even_if_worse=True, dry_run=dry_run)
            assert caught.value.exit_code == 3
        assert registered_models(store.client) == before
        assert "test_evaluations" not in store.run(other).data.tags
        plan = promote(other, even_if_worse=True, dry_run=True, again=True)
        assert "the test split would be opened and evaluated (accesses so far: 1)" in plan.reasons
        assert plan.openings == promotion.openings

    def test_again_changes_nothing(self, promoted: Promoted, monkeypatch: pytest.MonkeyPatch) -> None:
        store, promotion = promoted
        before, sizes = registered_models(store.client), artifact_sizes(store.folder)
        monkeypatch.setattr(package, "build", lambda *_: pytest.fail("packed again"))
        for reference in ("dropout-study", promotion.run_id):
            again = promote(reference)
            assert (again.version, again.promoted, again.test) == ("1", True, promotion.test)
            assert (again.openings, again.intervals) == (promotion.openings, promotion.intervals)
            assert again.reasons == ["the alias 'champion' already points to this run"]
        assert registered_models(store.client) == before
        assert artifact_sizes(store.folder) == sizes
        assert store.run(promotion.run_id).data.tags["test_evaluations"] == "1"

    @pytest.mark.usefixtures("packed", "loaded_here")
    def test_under_another_name_the_test_split_stays_closed(
        self, promoted: Promoted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, promotion = promoted
        monkeypatch.setattr(evaluate_module, "load_test", lambda *_: pytest.fail("opened again"))
        other = promote("dropout-study", name="other", alias="challenger")
        assert (other.name, other.version, other.alias, other.test) == ("other", "1", "challenger", promotion.test)
        assert store.run(promotion.run_id).data.tags["test_evaluations"] == "1"
        assert str(store.client.get_model_version_by_alias("other", "challenger").version) == "1"
        assert registered_models(store.client)["tiny"][0] == {"champion": "1"}

    def test_a_worse_run_takes_the_alias_only_with_even_if_worse(self, promoted: Promoted, loaded_here: None) -> None:
        store, promotion = promoted
        before = registered_models(store.client)
        worse, better = (metrics_of(store.run(run))["val_auc"] for run in (store.single, promotion.run_id))
        comparison = (
            f"the run is worse than version 1: val_auc {worse:.10g}; version 1 (run {promotion.run_id[:8]}) has "
            f"{better:.10g}"
        )
        for dry_run in (True, False):
            with pytest.raises(PromotionRefused) as caught:
                promote(store.single, dry_run=dry_run)
            (reason,) = caught.value.reasons
            assert reason.startswith(comparison)
            assert "--even-if-worse" in reason
            assert registered_models(store.client) == before
        second = promote(store.single, even_if_worse=True)
        assert second.reasons[1] == comparison
        assert (second.version, second.run_id, second.promoted) == ("2", store.single, True)
        aliases, versions = registered_models(store.client)["tiny"]
        assert aliases == {"champion": "2"}
        assert [(str(version), run_id) for version, run_id, _ in versions] == [
            ("1", promotion.run_id),
            ("2", store.single),
        ]

    @pytest.mark.slow
    @pytest.mark.usefixtures("packed", "loaded_here")
    def test_a_refused_second_leaves_the_first_champion(self, promoted: Promoted) -> None:
        store, _ = promoted
        before = registered_models(store.client)
        # the packed model has the best trial's weights, not those of the single training
        with pytest.raises(PromotionRefused) as caught:
            promote(store.single, even_if_worse=True)
        assert "(allowed: 0.0001)" in caught.value.reasons[0]
        assert registered_models(store.client) == before
        assert "test_evaluations" not in store.run(store.single).data.tags
        assert mlflow.pyfunc.load_model("models:/tiny@champion") is not None

    @pytest.mark.slow
    @pytest.mark.usefixtures("packed", "loaded_here")
    def test_a_refusal_under_another_name_leaves_the_first_champion_usable(self, promoted: Promoted) -> None:
        store, promotion = promoted
        change_probability(store, promotion.run_id)
        with pytest.raises(PromotionRefused):
            promote("dropout-study", name="other")
        assert set(registered_models(store.client)) == {"tiny"}
        assert len(mlflow.pyfunc.load_model("models:/tiny@champion").predict(np.zeros((2, 9, 9), np.uint8))) == 2


class TestRefused:
    def test_changed_predictions(self, store: Store, packed: None) -> None:
        run_id = store.trials[store.best]
        change_probability(store, run_id)
        before, sizes = store.run(run_id).data.to_dictionary(), artifact_sizes(store.folder)
        with pytest.raises(PromotionRefused, match=r"0\.01 on the 34") as caught:
            promote("dropout-study")
        assert caught.value.exit_code == 3
        assert len(caught.value.reasons) == 1
        assert registered_models(store.client) == {}
        assert store.run(run_id).data.to_dictionary() == before
        assert artifact_sizes(store.folder) == sizes

    def test_an_interrupt_leaves_nothing(self, store: Store, packed: None, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        sizes = artifact_sizes(store.folder)
        monkeypatch.setattr(package, "predict_in_fresh_process", interrupted)
        with pytest.raises(KeyboardInterrupt):
            promote("dropout-study")
        assert registered_models(store.client) == {}
        assert artifact_sizes(store.folder) == sizes

    def test_an_unfinished_run(self, store: Store) -> None:
        with pytest.raises(PromotionRefused) as caught:
            promote(store.interrupted)
        assert caught.value.reasons == (
            "the run is KILLED, not FINISHED",
            "threshold is missing or not finite",
        )
        assert registered_models(store.client) == {}

    def test_a_pruned_trial_named_by_its_id(self, store: Store) -> None:
        store.client.set_tag(store.trials[store.best], "trial_state", "PRUNED")
        with pytest.raises(PromotionRefused) as caught:
            promote(store.trials[store.best])
        assert caught.value.reasons == ("its trial is PRUNED, not COMPLETE",)

    def test_a_trial_that_violates_a_constraint(self, store: Store) -> None:
        best, other = store.trials[store.best], store.trials[1 - store.best]
        store.client.set_tag(best, tags.CONSTRAINTS, f"{tags.VIOLATED}parameters <= 5 (is 7)")
        with pytest.raises(PromotionRefused, match=r"parameters <= 5 \(is 7\); promote the study") as caught:
            promote(best)
        assert len(caught.value.reasons) == 1
        assert promote("dropout-study", dry_run=True).run_id == other
        assert promote(best, dry_run=True, even_if_worse=True).run_id == best
        store.client.set_tag(other, tags.CONSTRAINTS, f"{tags.VIOLATED}parameters <= 5 (is 8)")
        with pytest.raises(TrackingError, match="no complete trial that meets its constraints"):
            promote("dropout-study")
        assert registered_models(store.client) == {}

    @pytest.mark.parametrize(
        "gone", [("test_images",), ("test_labels",), ("test_images", "test_labels")], ids=["images", "labels", "both"]
    )
    def test_a_file_without_test_rows(
        self, store: Store, rewrite_data: Callable[..., None], gone: tuple[str, ...]
    ) -> None:
        rewrite_data(**dict.fromkeys(gone))
        with pytest.raises(DataError, match="test_images and test_labels") as caught:
            promote("dropout-study")
        assert str(store.data) in str(caught.value)
        assert registered_models(store.client) == {}

    def test_changed_rows(self, store: Store, rewrite_data: Callable[..., None]) -> None:
        with np.load(store.data) as file:
            images = file["val_images"]
        images ^= 1
        rewrite_data(val_images=images)
        with pytest.raises(TrackingError) as caught:
            promote("dropout-study")
        assert str(store.data) in str(caught.value)
        assert registered_models(store.client) == {}

    def test_several_runs(self, store: Store) -> None:
        with pytest.raises(TrackingError, match="tiny-runs.* 2 runs"):
            promote("tiny-runs")


class TestDryRun:
    def test_it_writes_nothing_and_lists_the_steps(self, store: Store) -> None:
        run_id = store.trials[store.best]
        before, sizes = store.run(run_id).data.to_dictionary(), artifact_sizes(store.folder)
        result = promote("dropout-study", dry_run=True)
        assert (result.name, result.version, result.promoted, result.test) == ("tiny", None, False, {})
        assert len(result.reasons) == 4
        assert f"run {run_id[:8]} (dropout-study) would be registered as a new version of 'tiny'" in result.reasons
        assert "the alias 'champion' would move from no version to it" in result.reasons
        assert "the test split would be opened and evaluated (accesses so far: 0)" in result.reasons
        assert registered_models(store.client) == {}
        assert store.run(run_id).data.to_dictionary() == before
        assert artifact_sizes(store.folder) == sizes

    def test_after_an_access_its_metrics_would_be_used(self, promoted: Promoted) -> None:
        result = promote("dropout-study", name="other", dry_run=True)
        assert "the stored test metrics would be used (accesses so far: 1)" in result.reasons

    def test_it_refuses_as_a_promotion_would(self, store: Store) -> None:
        with pytest.raises(PromotionRefused):
            promote(store.interrupted, dry_run=True)


@pytest.mark.slow
def test_a_pruned_network_is_promoted_as_any_other(store: Store) -> None:
    compress = {"method": "prune", "parent": store.single, "ratio": 0.5}
    config = with_parent(store.config({"stage1": {"epochs": 0}, "stage2.epochs": 1, "compress": compress}))
    result = train(config, training_tracker(config))
    assert result.run_id is not None
    promotion = promote(result.run_id)
    assert (promotion.promoted, promotion.run_id) == (True, result.run_id)
    model = mlflow.pyfunc.load_model(f"models:/{promotion.name}@champion")
    images = load_train_val(config.data).val.images[:, 0].numpy()
    probabilities = model.predict(images)["probability"].to_numpy()
    np.testing.assert_allclose(probabilities, result.predictions.probability_tta, atol=1e-5)
