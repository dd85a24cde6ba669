"""Soups: averages that are averages, halves that do not overlap, and members that share a start."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.registry import compared_images
from mlflow import MlflowClient

from mobilenet_chest.combine.ensemble import log_ensemble
from mobilenet_chest.combine.members import Member, train_members
from mobilenet_chest.combine.soup import average, part_of, soup, stratified_halves
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.corruptions import CHOOSING
from mobilenet_chest.data.dataset import Split, load_train_val
from mobilenet_chest.data.stress import stressed
from mobilenet_chest.errors import DataError, TrackingError, UserError
from mobilenet_chest.evaluation.thresholds import choose_threshold
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.selection.compare import compare
from mobilenet_chest.selection.evaluate import evaluate
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import stored_predictions, trained_model
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import Candidate
from mobilenet_chest.training.predict import predict
from mobilenet_chest.training.stress import final_stress_metrics

Make = Callable[..., Config]


def candidates(members: list[Member]) -> list[Candidate]:
    return [Candidate(member.run) for member in members]


def test_an_average() -> None:
    states = [
        {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)},
        {"w": torch.tensor([2.0, 6.0]), "n": torch.tensor(5)},
    ]
    mean = average(states)
    assert torch.equal(mean["w"], torch.tensor([1.5, 4.0]))
    assert (mean["w"].dtype, mean["n"].item()) == (torch.float32, 3)
    alone = average(states[:1])
    assert torch.equal(alone["w"], states[0]["w"])
    assert alone["w"] is not states[0]["w"]


def test_halves_are_stratified_and_disjoint(tiny: Make) -> None:
    val = load_train_val(tiny().data).val
    choosing, reporting = stratified_halves(val, seed=3)
    assert sorted([*choosing, *reporting]) == list(range(len(val)))
    positive = [int(val.labels[part].sum()) for part in (choosing, reporting)]
    assert abs(positive[0] - positive[1]) <= 1
    assert not np.array_equal(choosing, stratified_halves(val, seed=4)[0])


def test_one_row_of_a_class_has_no_halves(tiny: Make) -> None:
    val = load_train_val(tiny().data).val
    rows = [int((val.labels == label).nonzero()[0]) for label in (0, 1, 1)]
    one = Split(val.images[rows], val.labels[rows], val.rows[rows], val.digest)
    with pytest.raises(DataError, match="1 validation rows"):
        stratified_halves(one, seed=3)


def test_a_soup_of_one_is_the_model(tiny: Make) -> None:
    """Its metrics are of the half that did not choose."""
    (member,) = train_members([tiny()])
    result = soup(candidates([member]))
    client = MlflowClient()
    run = client.get_run(result.run_id)
    stored, original = (stored_predictions(client, entry, "val") for entry in (run, member.run))
    _, reporting = stratified_halves(load_train_val(member.config.data).val, member.config.seed)
    np.testing.assert_allclose(stored["probability"], original["probability"].to_numpy()[reporting], atol=1e-6)
    assert stored["row"].tolist() == original["row"].to_numpy()[reporting].tolist()
    states = [trained_model(client, entry, member.config).state_dict() for entry in (run, member.run)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    note = run.data.tags[tags.NOTE]
    assert note.startswith("**Soup of 1 of 1 runs**: the ")
    assert f"runs `{member.run_id[:8]}`." in note
    assert "Finished from 1 member (" in note
    assert "95% interval" in note
    assert run.data.tags[tags.SCORED_ON] == "the half of val that did not choose"
    with pytest.raises(TrackingError, match=f"{str(result.run_id)[:8]} .*{run.data.tags[tags.SCORED_ON]}"):
        evaluate(result.run_id, "val")
    # metrics of half of the rows are not compared with metrics of all
    soup_row, member_row = compare([result.run_id, member.run_id])
    assert soup_row.dataset != member_row.dataset


@pytest.mark.slow
def test_a_soup_of_fine_tunings_from_one_start(tiny: Make) -> None:
    config = tiny()
    parts = train_members([with_values(config, {"stage2.lr": lr}) for lr in (1e-3, 2e-3, 3e-3)])
    result = soup(candidates(parts))
    client = MlflowClient()
    run = client.get_run(result.run_id)
    assert run.data.tags["kind"] == "soup"
    assert run.data.tags["soup"] in ("greedy", "uniform")
    assert len(result.members) == result.metrics["soup_size"]
    assert set(result.members) <= {part.run_id for part in parts}
    assert metrics_of(run)["best_member_val_auc"] > 0
    by_id = {part.run_id: part for part in parts}
    states = [trained_model(client, by_id[i].run, config).state_dict() for i in result.members]
    expected, actual = average(states), trained_model(client, run, config).state_dict()
    learned = [name for name in expected if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert all(torch.equal(actual[name], expected[name]) for name in learned)


def test_statistics_are_those_of_the_average(tiny: Make) -> None:
    """With BatchNorm in training mode on all training rows, the first layer's means are those of its inputs."""
    config = tiny({"evaluation": {"metric": "val_loss"}})
    parts = train_members([with_values(config, {"stage2.lr": lr}) for lr in (1e-4, 2e-4)])
    result = soup(candidates(parts))
    assert result.metrics["soup_size"] == 2
    client = MlflowClient()
    model = trained_model(client, client.get_run(result.run_id), config)
    images, norm = load_train_val(config.data).train.images, model.backbone.bn1
    with torch.inference_mode():
        means = model.backbone.conv_stem((images.float() - model.mean) / model.std).mean((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, means, atol=2e-2, rtol=2e-2)


@pytest.mark.slow
def test_stress_chooses_members_and_threshold(tiny: Make) -> None:
    """On copies of the half that chooses; an ensemble has no one network to predict the copies with."""
    evaluation = {"metric": "stress_auc_mean", "stress": {}, "threshold_on": "stress"}
    config = tiny({"evaluation": evaluation, "stage2.patience": None})
    parts = train_members([with_values(config, {"stage2.lr": lr}) for lr in (1e-3, 2e-3)])
    result = soup(candidates(parts))
    client = MlflowClient()
    model = trained_model(client, client.get_run(result.run_id), config)
    val, cpu = load_train_val(config.data).val, torch.device("cpu")
    choosing, reporting = (part_of(val, half) for half in stratified_halves(val, config.seed))
    copies = predict(model, stressed(choosing, CHOOSING), cpu)
    assert result.metrics["threshold"] == choose_threshold(copies.label, copies.probability_tta, config.evaluation)
    expected = final_stress_metrics(model, reporting, cpu)
    assert {name: result.metrics[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    with pytest.raises(UserError, match="threshold_on"):
        log_ensemble(parts, "runs")


@pytest.mark.slow
def test_another_start_has_no_soup(tiny: Make) -> None:
    config = tiny()
    for other, reason in (({"seed": 8}, "different weights"), ({"model.hidden": [4]}, "different models or data")):
        with pytest.raises(UserError, match=reason):
            soup(candidates(train_members([config, with_values(config, other)])))


@pytest.mark.slow
def test_a_soup_is_promoted(tiny: Make) -> None:
    config = tiny({"evaluation": {"metric": "val_loss"}})
    run_id = soup(candidates(train_members([with_values(config, {"stage2.lr": lr}) for lr in (1e-4, 2e-4)]))).run_id
    promotion = promote(run_id)
    # the soup has predictions of the half that did not choose
    assert (promotion.promoted, promotion.run_id, compared_images(promotion)) == (True, run_id, 17)
    assert promotion.test["test_auc"] > 0
