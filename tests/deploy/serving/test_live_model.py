"""The model that answers is the one that the alias points to, or the last that could be loaded."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from helpers.brightness import BRIGHT, DARK, flat, probability
from helpers.registry import Promoted
from mlflow import MlflowClient

from mobilenet_chest.deploy.serving import live_model
from mobilenet_chest.deploy.serving.live_model import Follower, LiveModel
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.evaluation.operating_points import abstention_range
from mobilenet_chest.registry.digests import digests_tag
from mobilenet_chest.tracking import artifacts
from mobilenet_chest.tracking.run_metrics import metrics_of


def test_a_model_answers_as_the_registered_one_does(versions: MlflowClient) -> None:
    model = Follower("models:/gray@champion").model
    dark, bright = model.predict(flat(DARK, BRIGHT))
    assert [dark.probability, bright.probability] == pytest.approx([probability(DARK), probability(BRIGHT)], abs=1e-6)
    assert [dark.label_name, bright.label_name] == ["dark", "bright"]
    assert [type(dark.probability), type(dark.label), dark.label, bright.label] == [float, int, 0, 1]
    assert model.about() == {"name": "gray", "version": "1", "run_id": model.run_id, "classes": ("dark", "bright"),
                             "threshold": 0.5, "temperature": None, "abstains": None, "channels": 1,
                             "preparation": None}  # fmt: skip
    assert (dark.calibrated, dark.abstains) == (None, False)


def test_a_model_that_knows_its_operating_points_calibrates_and_abstains(versions: MlflowClient) -> None:
    model = replace(Follower("models:/gray@champion").model, temperature=2.0,
                    abstains=(probability(100), probability(DARK + 32)))  # fmt: skip
    answers = model.predict(flat(DARK, 101, DARK + 32, BRIGHT))
    assert [answer.abstains for answer in answers] == [False, True, False, False]
    assert answers[3].calibrated == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert isinstance(answers[3].calibrated, float)


def test_a_promoted_model_knows_its_temperature_and_where_it_abstains(promoted: Promoted) -> None:
    store, promotion = promoted
    model = Follower("models:/tiny@champion").model
    run = store.run(promotion.run_id)
    table = artifacts.stored_predictions(store.client, run, "val")
    assert model.temperature == metrics_of(run)["temperature"]
    assert model.abstains == abstention_range(table["label"].to_numpy(), table["probability_tta"].to_numpy())


def test_an_alias_that_moves_is_followed_forth_and_back(versions: MlflowClient) -> None:
    taken: list[LiveModel] = []
    follower = Follower("models:/gray@champion", taken.append)
    follower.look()
    assert follower.model.version == "1"
    versions.set_registered_model_alias("gray", "champion", "2")
    follower.look()
    assert follower.model.version == "2"
    versions.set_registered_model_alias("gray", "champion", "1")
    follower.look()
    assert [model.version for model in taken] == ["2", "1"]
    assert follower.problem is None


def test_a_version_that_was_changed_is_not_taken_and_is_tried_once(
    versions: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower("models:/gray@champion")
    versions.set_model_version_tag("gray", "2", "sha256", digests_tag({"MLmodel": "0" * 64}))
    versions.set_registered_model_alias("gray", "champion", "2")
    follower.look()
    assert follower.model.version == "1"
    assert follower.problem is not None
    assert "MLmodel was changed" in follower.problem
    monkeypatch.setattr(live_model, "load", lambda *_: pytest.fail("tried again"))
    follower.look()
    versions.set_registered_model_alias("gray", "champion", "1")
    follower.look()
    assert follower.problem is None


def test_an_alias_that_is_gone_leaves_the_model(versions: MlflowClient) -> None:
    follower = Follower("models:/gray@champion")
    versions.delete_registered_model_alias("gray", "champion")
    follower.look()
    assert follower.model.version == "1"
    assert "models:/gray@champion" in str(follower.problem)


def test_a_model_that_is_not_there_is_refused(versions: MlflowClient) -> None:
    with pytest.raises(TrackingError, match="models:/gray@other"):
        Follower("models:/gray@other")
