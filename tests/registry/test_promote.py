"""Promotion: a version that predicts as the run did takes the alias, or everything stays as it was."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from mobilenet_chest.data.dataset import load_test, load_train_val, resize, stored_validation_images
from mobilenet_chest.errors import DataError, PromotionRefused, SealedError, TrackingError
from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.registry import package
from mobilenet_chest.registry.promote import Promotion, promote
from mobilenet_chest.selection import evaluate as evaluate_module
from mobilenet_chest.selection.ledger import access_lines
from mobilenet_chest.tracking import artifacts, runs

if TYPE_CHECKING:
    from helpers.stores import Store

Promoted = tuple["Store", Promotion]


def registry(client: MlflowClient) -> dict[str, Any]:
    """All registered models with their versions and aliases."""
    return {
        model.name: (
            {alias: str(version) for alias, version in model.aliases.items()},
            sorted((v.version, v.run_id, str(v.tags)) for v in client.search_model_versions(f"name = '{model.name}'")),
        )
        for model in client.search_registered_models()
    }


def files(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("mlruns/**/*") if path.is_file()
    }


def tamper(store: Store, run_id: str, by: float = 0.01) -> None:
    """Move one of the run's stored probabilities."""
    path = Path(store.run(run_id).info.artifact_uri.removeprefix("file://")) / "predictions" / "val.parquet"
    table = pd.read_parquet(path)
    table.loc[7, "probability_tta"] += by if table.loc[7, "probability_tta"] < 0.5 else -by
    table.to_parquet(path, index=False)


@pytest.fixture
def packed(promoted_original: Promoted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing takes what the first promotion packed: of use where the best trial is promoted, or a refusal is due."""
    original, promotion = promoted_original
    (model,) = (path.parent for path in artifact_folder(original, promotion.run_id).glob("*/MLmodel"))
    monkeypatch.setattr(package, "build", lambda *given: shutil.copytree(model, given[-1]))


def artifact_folder(store: Store, run_id: str) -> Path:
    (folder,) = (store.folder / "mlruns").glob(f"**/{run_id}/artifacts")
    return folder


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

    def test_it_predicts_the_validation_images_as_the_run_did(self, promoted: Promoted) -> None:
        store, promotion = promoted
        model = mlflow.pyfunc.load_model("models:/tiny@champion")
        data = store.config().data
        table = model.predict(stored_validation_images(data, load_train_val(data).val.rows))
        run = store.run(promotion.run_id)
        stored = artifacts.stored_predictions(store.client, run, "val")["probability_tta"].to_numpy()
        np.testing.assert_allclose(table["probability"].to_numpy(), stored, atol=1e-4, rtol=0)
        assert list(table) == ["probability", "label_name", "label"]
        np.testing.assert_array_equal(table["label"], table["probability"] >= run.data.metrics["threshold"])
        assert set(zip(table["label"], table["label_name"], strict=True)) <= {(0, "cardiomegaly"), (1, "pneumothorax")}

    def test_it_takes_images_of_any_size_and_number(self, promoted: Promoted, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        store, promotion = promoted
        monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        model = mlflow.pyfunc.load_model("models:/tiny@champion")
        images = np.random.default_rng(3).integers(0, 256, (5, 61, 47), np.uint8)
        table = model.predict(images)
        assert [str(kind) for kind in table.dtypes][::2] == ["float64", "int64"]
        run = store.run(promotion.run_id)
        network = artifacts.trained_model(store.client, run, artifacts.run_config(store.client, run))
        pixels = resize(torch.from_numpy(images)[:, None], 32)
        with torch.inference_mode():
            expected = (network(pixels).sigmoid() + network(pixels.flip(-1)).sigmoid()) / 2
        np.testing.assert_allclose(table["probability"].to_numpy(), expected.numpy(), atol=1e-5, rtol=0)
        assert len(model.predict(images[:1])) == 1
        assert len(model.predict(np.concatenate([images] * 14))) == 70

    @pytest.mark.parametrize("images", [np.zeros((2, 8, 8), np.float32), np.zeros((2, 8, 8, 3), np.uint8)])
    def test_it_refuses_other_arrays(self, promoted: Promoted, images: Any) -> None:
        model = mlflow.pyfunc.load_model("models:/tiny@champion")
        with pytest.raises(Exception, match=r"uint8|shape"):
            model.predict(images)

    def test_its_folder_holds_no_pickle(self, promoted: Promoted, tmp_path: Path) -> None:
        folder = Path(download_artifacts("models:/tiny@champion", dst_path=str(tmp_path / "copy")))
        held = {path for path in folder.rglob("*") if path.is_file()}
        assert not [path for path in held if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]
        (program,) = [path for path in held if path.suffix == ".pt2"]
        with zipfile.ZipFile(program) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        assert not [name for name in members if name.endswith((".pkl", ".pickle"))]
        # a pickle of protocol 2 or later, whatever its name, also one zipped inside
        for name, content in members.items():
            assert not (content[:1] == b"\x80" and content[1:2] <= b"\x05" and content[-1:] == b"."), name
            if zipfile.is_zipfile(io.BytesIO(content)):
                inner = zipfile.ZipFile(io.BytesIO(content)).namelist()
                assert not [inside for inside in inner if inside.endswith(".pkl")], name

    def test_its_description_names_no_place_of_this_machine(
        self, promoted: Promoted, promoted_original: Promoted, tmp_path: Path
    ) -> None:
        folder = Path(download_artifacts("models:/tiny@champion", dst_path=str(tmp_path / "copy")))
        text = (folder / "MLmodel").read_text(encoding="utf-8")
        for place in (promoted_original[0].folder, tmp_path, Path(package.__file__).parent, Path.home(), "file:/"):
            assert str(place) not in text
        description = yaml.safe_load(text)["flavors"]["python_function"]
        assert description["model_code_path"] == "served.py"
        # everything that is named stands in the folder
        assert (folder / description["model_code_path"]).is_file()
        for artifact in description["artifacts"].values():
            assert artifact["uri"] == artifact["path"]
            assert (folder / artifact["path"]).is_file()

    def test_the_version_carries_its_origin_and_figures(self, promoted: Promoted) -> None:
        store, promotion = promoted
        run = store.run(promotion.run_id)
        tags = store.client.get_model_version("tiny", "1").tags
        for name in ("model", "weights", "dataset", "config_digest", "data_digest", "git_commit", "git_dirty",
                     "study", "trial"):  # fmt: skip
            assert tags[name] == run.data.tags[name]
        assert tags["run_id"] == promotion.run_id
        assert tags["test_evaluations"] == "1"
        assert tags["test_openings"] == access_lines(promotion.openings)[0]
        assert float(tags["verified_difference"]) <= 1e-4
        for name in ("threshold", "temperature", "val_auc", "val_accuracy_crossfit", "val_ece"):
            assert float(tags[name]) == pytest.approx(run.data.metrics[name], rel=1e-5)
        for name, value in promotion.test.items():
            assert float(tags[name]) == pytest.approx(value, rel=1e-5)

    def test_the_test_split_was_opened_once(self, promoted: Promoted) -> None:
        store, promotion = promoted
        run = store.run(promotion.run_id)
        assert run.data.tags["test_evaluations"] == "1"
        assert promotion.test == {name: run.data.metrics[name] for name in promotion.test}
        (opening,) = promotion.openings
        assert (opening.study, opening.run_id, opening.result) == ("dropout-study", promotion.run_id, promotion.test)
        assert opening.who is not None
        assert opening.who.endswith(", promote")
        assert {"test_auc", "test_accuracy_tta_threshold", "test_sensitivity"} <= promotion.test.keys()
        table = artifacts.stored_predictions(store.client, run, "test")
        np.testing.assert_array_equal(table["row"], load_test(store.config().data).rows)
        assert promotion.intervals.keys() == promotion.test.keys()
        assert promotion.intervals["test_auc"] == auc_interval(
            table["label"].to_numpy(), table["probability"].to_numpy()
        )

    def test_the_card_tells_what_it_is_and_is_not(self, promoted: Promoted) -> None:
        store, promotion = promoted
        card = store.client.get_model_version("tiny", "1").description
        run = store.run(promotion.run_id)
        table = artifacts.stored_predictions(store.client, run, "val")
        of_val = auc_interval(table["label"].to_numpy(), table["probability_tta"].to_numpy())
        shown = [
            (promotion.test["test_auc_tta"], promotion.intervals["test_auc_tta"]),
            (run.data.metrics["val_auc_tta"], of_val),
        ]
        for told in (
            "tells **pneumothorax** (label 1) from **cardiomegaly** (label 0)",
            *(f"| {value:.4f} ({one.low:.3f}–{one.high:.3f}) |" for value, one in shown),
            f"{run.data.metrics['val_accuracy_crossfit']:.4f}",
            f"threshold {run.data.metrics['threshold']:.2f}",
            f"{run.data.metrics['val_accuracy_crossfit_all']:.4f} with the epoch and TTA left to the other folds",
            f"temperature {run.data.metrics['temperature']:.3f}",
            f"{run.data.metrics['val_ece_calibrated']:.4f} instead of {run.data.metrics['val_ece']:.4f}",
            "test (openings: 1)",
            f"- {access_lines(promotion.openings)[0]}\n",
            promotion.run_id,
            run.data.tags["data_digest"],
            "not a medical device",
        ):
            assert told in card
        assert "nan" not in card.lower().replace("nano", "")
        with runs.artifact(store.client, run, "model_card.md") as path:
            assert path.read_text(encoding="utf-8") == card

    def test_another_trial_of_the_study_is_a_second_opening(self, promoted: Promoted, packed: None) -> None:
        store, promotion = promoted
        other = store.trials[1 - store.best]
        before = registry(store.client)
        for dry_run in (True, False):
            with pytest.raises(SealedError, match=f"for study 'dropout-study' once .*run {promotion.run_id}") as caught:
                promote(other, even_if_worse=True, dry_run=dry_run)
            assert caught.value.exit_code == 2
        assert registry(store.client) == before
        assert "test_evaluations" not in store.run(other).data.tags
        said = promote(other, even_if_worse=True, dry_run=True, again=True)
        assert "the test split would be evaluated (openings so far: 1)" in said.reasons
        assert said.openings == promotion.openings

    def test_again_changes_nothing(self, promoted: Promoted, monkeypatch: pytest.MonkeyPatch) -> None:
        store, promotion = promoted
        before, kept = registry(store.client), files(store.folder)
        monkeypatch.setattr(package, "build", lambda *_: pytest.fail("packed again"))
        for reference in ("dropout-study", promotion.run_id):
            again = promote(reference)
            assert (again.version, again.promoted, again.test) == ("1", True, promotion.test)
            assert (again.openings, again.intervals) == (promotion.openings, promotion.intervals)
            assert again.reasons == ["champion already is this run"]
        assert registry(store.client) == before
        assert files(store.folder) == kept
        assert store.run(promotion.run_id).data.tags["test_evaluations"] == "1"

    def test_under_another_name_the_test_split_stays_closed(
        self, promoted: Promoted, packed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, promotion = promoted
        monkeypatch.setattr(evaluate_module, "load_test", lambda *_: pytest.fail("opened again"))
        monkeypatch.setattr(package, "predict_in_fresh_process", predict_here)
        other = promote("dropout-study", name="other", alias="challenger")
        assert (other.name, other.version, other.alias, other.test) == ("other", "1", "challenger", promotion.test)
        assert store.run(promotion.run_id).data.tags["test_evaluations"] == "1"
        assert str(store.client.get_model_version_by_alias("other", "challenger").version) == "1"
        assert registry(store.client)["tiny"][0] == {"champion": "1"}

    def test_a_worse_run_takes_the_alias_over_only_when_told_to(
        self, promoted: Promoted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, promotion = promoted
        before = registry(store.client)
        worse, better = (store.run(run).data.metrics["val_auc"] for run in (store.single, promotion.run_id))
        for dry_run in (True, False):
            with pytest.raises(PromotionRefused) as caught:
                promote(store.single, dry_run=dry_run)
            assert caught.value.reasons == (
                f"the run is worse than what the alias stands at: val_auc {worse:.10g}, version 1 (run "
                f"{promotion.run_id}) has {better:.10g}; --even-if-worse promotes it all the same",
            )
            assert registry(store.client) == before
        monkeypatch.setattr(package, "predict_in_fresh_process", predict_here)
        second = promote(store.single, even_if_worse=True)
        assert second.reasons[1] == (
            f"the run is worse: val_auc {worse:.10g}, version 1 (run {promotion.run_id}) has {better:.10g}"
        )
        assert (second.version, second.run_id, second.promoted) == ("2", store.single, True)
        aliases, versions = registry(store.client)["tiny"]
        assert aliases == {"champion": "2"}
        assert [(str(version), run_id) for version, run_id, _ in versions] == [
            ("1", promotion.run_id),
            ("2", store.single),
        ]

    def test_a_refused_second_leaves_the_first_champion(
        self, promoted: Promoted, packed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, _ = promoted
        before = registry(store.client)
        monkeypatch.setattr(package, "predict_in_fresh_process", predict_here)
        # what is packed are the best trial's weights: not those of the single training
        with pytest.raises(PromotionRefused, match="differ from the run's by up to"):
            promote(store.single, even_if_worse=True)
        assert registry(store.client) == before
        assert "test_evaluations" not in store.run(store.single).data.tags
        assert mlflow.pyfunc.load_model("models:/tiny@champion") is not None

    def test_a_refusal_under_another_name_leaves_the_first_champion_usable(
        self, promoted: Promoted, packed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, promotion = promoted
        tamper(store, promotion.run_id)
        monkeypatch.setattr(package, "predict_in_fresh_process", predict_here)
        with pytest.raises(PromotionRefused):
            promote("dropout-study", name="other")
        assert set(registry(store.client)) == {"tiny"}
        assert len(mlflow.pyfunc.load_model("models:/tiny@champion").predict(np.zeros((2, 9, 9), np.uint8))) == 2


def predict_here(model: Path, images: Any) -> Any:
    """What the fresh process does, in this one."""
    return mlflow.pyfunc.load_model(str(model)).predict(images)["probability"].to_numpy()


class TestRefused:
    def test_tampered_predictions(self, store: Store, packed: None) -> None:
        run_id = store.trials[store.best]
        tamper(store, run_id)
        before, kept = store.run(run_id).data.to_dictionary(), files(store.folder)
        with pytest.raises(PromotionRefused, match=r"differ from the run's by up to 0\.01 on the 34") as caught:
            promote("dropout-study")
        assert caught.value.exit_code == 3
        assert len(caught.value.reasons) == 1
        assert registry(store.client) == {}
        assert store.run(run_id).data.to_dictionary() == before
        assert files(store.folder) == kept

    def test_a_model_that_cannot_be_loaded_alone(
        self, store: Store, packed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(package, "_FRESH", "raise SystemExit('no such module')")
        with pytest.raises(PromotionRefused, match="cannot be used in a fresh process: no such module"):
            promote("dropout-study")
        assert registry(store.client) == {}

    def test_an_interrupt_takes_everything_back(
        self, store: Store, packed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        kept = files(store.folder)
        monkeypatch.setattr(package, "predict_in_fresh_process", interrupted)
        with pytest.raises(KeyboardInterrupt):
            promote("dropout-study")
        assert registry(store.client) == {}
        assert files(store.folder) == kept

    def test_an_unfinished_run(self, store: Store) -> None:
        with pytest.raises(PromotionRefused) as caught:
            promote(store.interrupted)
        assert caught.value.reasons == (
            "the run is KILLED, not FINISHED",
            "threshold is missing or not finite",
        )
        assert registry(store.client) == {}

    def test_a_pruned_trial_named_by_its_id(self, store: Store) -> None:
        store.client.set_tag(store.trials[store.best], "trial_state", "PRUNED")
        with pytest.raises(PromotionRefused) as caught:
            promote(store.trials[store.best])
        assert caught.value.reasons == ("its trial is PRUNED, not COMPLETE",)

    @pytest.mark.parametrize(
        "gone", [("test_images",), ("test_labels",), ("test_images", "test_labels")], ids=["images", "labels", "both"]
    )
    def test_a_file_without_test_rows(
        self, store: Store, rewrite_data: Callable[..., None], gone: tuple[str, ...]
    ) -> None:
        rewrite_data(**dict.fromkeys(gone))
        with pytest.raises(DataError, match=r"has no test_images and test_labels, .*add the test split") as caught:
            promote("dropout-study")
        assert str(store.data) in str(caught.value)
        assert registry(store.client) == {}

    def test_changed_rows(self, store: Store, rewrite_data: Callable[..., None]) -> None:
        with np.load(store.data) as file:
            images = file["val_images"]
        images ^= 1
        rewrite_data(val_images=images)
        with pytest.raises(TrackingError, match="put the original file back"):
            promote("dropout-study")
        assert registry(store.client) == {}

    def test_several_runs(self, store: Store) -> None:
        with pytest.raises(TrackingError, match="stands for 2 runs"):
            promote("tiny-runs")


class TestDryRun:
    def test_writes_nothing_and_says_what_would_happen(self, store: Store) -> None:
        run_id = store.trials[store.best]
        before, kept = store.run(run_id).data.to_dictionary(), files(store.folder)
        result = promote("dropout-study", dry_run=True)
        assert (result.name, result.version, result.promoted, result.test) == ("tiny", None, False, {})
        assert len(result.reasons) == 4
        assert f"run {run_id} (dropout-study) would be registered as a new version of 'tiny'" in result.reasons
        assert "the alias 'champion' would move from no version to it" in result.reasons
        assert "the test split would be evaluated (openings so far: 0)" in result.reasons
        assert registry(store.client) == {}
        assert store.run(run_id).data.to_dictionary() == before
        assert files(store.folder) == kept

    def test_after_an_opening_its_figures_would_be_used(self, promoted: Promoted) -> None:
        result = promote("dropout-study", name="other", dry_run=True)
        assert "the test figures of the opening on record would be used (openings so far: 1)" in result.reasons

    def test_refuses_as_the_real_one_would(self, store: Store) -> None:
        with pytest.raises(PromotionRefused):
            promote(store.interrupted, dry_run=True)
