"""Each kind of search that means nothing, as a constructed study; and a search that works, which has no finding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.config import Config, parse
from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.findings import Finding, find_findings, notes, yaml_number
from mobilenet_chest.sweep.space import to_optuna

LR = {"low": 1e-4, "high": 1e-2, "log": True}
SEARCH = {"stage2.lr": LR, "model.dropout": {"low": 0.3, "high": 0.7}, "model.stem": {"choices": ["mean", "sum"]}}


def experiment(search: dict[str, Any] | None = None, **fields: Any) -> Config:
    recipe = {"stage1": {"epochs": 3}, "stage2": {"epochs": 6}, "evaluation": {"metric": "val_auc"}}
    return parse({"name": "x", **recipe, "search": search or SEARCH, **fields})


def training(stage1: float, stage2: float, best_epoch: int, stage2_best: int = 5) -> dict[str, Any]:
    return {
        "metric": "val_auc",
        "best_epoch": best_epoch,
        "stage1": {"epochs": 3, "best_epoch": 2, "best": stage1},
        "stage2": {"epochs": 6, "best_epoch": stage2_best, "best": stage2},
    }


HEALTHY = training(0.7, 0.9, best_epoch=5)


def trials(
    config: Config,
    count: int,
    value: Callable[[dict[str, Any]], float],
    stored: dict[str, Any] | None = HEALTHY,
    seed: int = 0,
) -> list[FrozenTrial]:
    """Complete trials with random values of the searched fields."""
    study = optuna.create_study(
        direction=config.study.direction, sampler=optuna.samplers.RandomSampler(seed=seed)
    )  # fmt: skip
    for _ in range(count):
        trial = study.ask({path: to_optuna(path, each) for path, each in config.search.items()})
        if stored is not None:
            trial.set_user_attr(attributes.TRAININGS, [stored])
        study.tell(trial, value(trial.params))
    return study.get_trials()


def kinds(found: list[Finding]) -> list[str]:
    assert all(len(str(finding).splitlines()) == 1 for finding in found)
    return [finding.kind for finding in found]


def inside(params: dict[str, Any]) -> float:
    """A metric with its best learning rate in the middle, on which all three fields have an influence."""
    lr = math.log10(params["stage2.lr"]) + 3
    stem = 0.05 if params.get("model.stem") == "sum" else 0.0
    return 0.9 - 0.02 * lr**2 - 0.3 * (params.get("model.dropout", 0.5) - 0.5) ** 2 + stem


@pytest.mark.parametrize("count", [1, 3, 6, 12, 40])
@pytest.mark.parametrize("seed", range(4))
def test_a_search_that_works_has_no_finding(count: int, seed: int) -> None:
    config = experiment({"stage2.lr": LR, "model.stem": {"choices": ["mean", "sum"]}})
    assert find_findings(config, trials(config, count, inside, seed=seed), tied=[0, 1]) == []


def test_noise_alone_is_seldom_taken_for_a_best_value_at_an_end() -> None:
    config = experiment({"stage2.lr": LR, "model.dropout": {"low": 0.3, "high": 0.7}})
    wrong = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        wrong += "edge" in kinds(find_findings(config, trials(config, 12, lambda _, r=random: r.random(), seed=seed)))
    assert wrong <= 0.05 * 200


def test_the_best_epoch_of_all_is_in_the_frozen_stage() -> None:
    config = experiment()
    frozen = trials(config, 6, inside, training(0.9, 0.8, best_epoch=2, stage2_best=4))
    (found,) = find_findings(config, frozen)
    assert (found.kind, found.change) == ("frozen_best", "search.stage2.lr: {low: 1.0e-05}")
    assert "all 6 trainings by val_auc" in found.text
    one_is_tuned = [*frozen[:5], *trials(config, 1, inside)]
    assert kinds(find_findings(config, one_is_tuned)) == ["harmful_fine_tuning"]
    assert find_findings(config, frozen[:3]) == []
    # trials of early versions have not stored what their stages reached
    assert find_findings(config, trials(config, 6, inside, stored=None)) == []


def test_another_metric_chooses_frozen_epochs_though_fine_tuning_helps() -> None:
    config = experiment(evaluation={"metric": "val_accuracy"})
    (found,) = find_findings(config, trials(config, 6, inside, training(0.8, 0.9, best_epoch=2)))
    assert (found.kind, found.change) == ("frozen_best", "evaluation.metric: val_auc")


def test_fine_tuning_that_still_improves_wants_more_epochs() -> None:
    config = experiment()
    (found,) = find_findings(config, trials(config, 6, inside, training(0.9, 0.8, best_epoch=2, stage2_best=9)))
    assert (found.kind, found.change) == ("frozen_best", "stage2.epochs: 12")


def test_fine_tuning_that_harms() -> None:
    config = experiment(study={"metric": "val_loss", "direction": "minimize"}, evaluation={"metric": "val_loss"})
    harmed = [
        *trials(config, 5, lambda params: -inside(params), training(0.4, 0.5, best_epoch=2, stage2_best=4)),
        *trials(config, 1, lambda params: -inside(params), training(0.4, 0.3, best_epoch=6)),
    ]
    (found,) = find_findings(config, harmed)
    assert found.kind == "harmful_fine_tuning"
    assert "5 of 6 trainings the best val_loss" in found.text
    assert "by 0.1 in the median" in found.text
    # with fewer than nearly all there is none
    assert find_findings(config, [*harmed[:4], *harmed[5:], harmed[5]]) == []


def test_all_trials_are_tied() -> None:
    config = experiment()
    ended = trials(config, 24, inside)
    (found,) = find_findings(config, ended, tied=list(range(24)))
    assert (found.kind, found.change.split(",")[0]) == ("tied", "study.resampling: kfold")
    assert "tied" not in kinds(find_findings(config, ended, tied=list(range(23))))
    (same,) = find_findings(config, trials(config, 24, lambda _: 1.0))
    assert (same.kind, same.change) == ("tied", "study: {metric: val_loss, direction: minimize}")
    assert "1.0000" in same.text


def test_a_field_without_influence() -> None:
    config = experiment()
    random = np.random.default_rng(1)

    def of_lr_alone(params: dict[str, Any]) -> float:
        return -((math.log10(params["stage2.lr"]) + 3) ** 2) + 0.001 * random.random()

    ended = trials(config, 24, of_lr_alone)
    (found,) = find_findings(config, ended)
    assert found.kind == "no_influence"
    assert found.text == "no visible influence of model.dropout, model.stem in 24 trials"
    assert found.change == "removing search.model.dropout, search.model.stem"
    assert find_findings(config, ended[:19]) == []  # too few to say that


def test_pruned_trials_count_as_the_worst() -> None:
    """All high learning rates were pruned: the complete trials alone would show no influence."""
    config = experiment({"stage2.lr": LR})
    random = np.random.default_rng(2)
    ended = trials(config, 24, lambda _: float(random.random()))
    for trial in ended:
        if trial.params["stage2.lr"] > 2e-3:
            trial.state, trial.values, trial.intermediate_values = TrialState.PRUNED, None, {5: 0.5}
    assert sum(trial.state == TrialState.PRUNED for trial in ended) >= 4
    assert "no_influence" not in kinds(find_findings(config, ended))


@pytest.mark.parametrize(
    ("path", "distribution", "sign", "change"),
    [
        ("stage2.lr", LR, 1, "search.stage2.lr: {high: 0.1}"),
        ("stage2.lr", LR, -1, "search.stage2.lr: {low: 1.0e-05}"),
        ("model.dropout", {"low": 0.3, "high": 0.7}, 1, "search.model.dropout: {high: 0.9}"),
        ("optimizer.batch_size", {"low": 16, "high": 64}, 1, "search.optimizer.batch_size: {high: 112}"),
        ("stage2.lr", {"choices": [1e-4, 1e-3, 1e-2]}, 1, "search.stage2.lr: {choices: [0.0001, 0.001, 0.01, 0.1]}"),
    ],
)
def test_the_best_value_at_an_end_of_its_range(path: str, distribution: dict[str, Any], sign: int, change: str) -> None:
    config = experiment({path: distribution})
    (found,) = find_findings(config, trials(config, 16, lambda params: sign * params[path]))
    assert (found.kind, found.change) == ("edge", change)
    key, text = change.split(": ", 1)
    searched = {"choices": None} if "choices" in distribution else distribution
    wider = parse({"name": "x", "search": {key.removeprefix("search."): searched | yaml.safe_load(text)}})
    assert path in wider.search  # the change can be typed as it stands


def test_a_range_that_ends_where_its_field_does_cannot_be_wider() -> None:
    config = experiment({"augment.hflip": {"low": 0.0, "high": 1.0}})
    assert find_findings(config, trials(config, 16, lambda params: params["augment.hflip"])) == []


def test_a_conditional_field_is_tried_where_its_condition_holds() -> None:
    focal = {"low": 1.0, "high": 3.0, "when": {"loss.name": "focal"}}
    config = experiment({"loss.name": {"choices": ["bce", "focal"]}, "loss.focal_gamma": focal})
    ended = trials(experiment({"loss.focal_gamma": {"low": 1.0, "high": 3.0}, "loss.name": {"choices": ["focal"]}}),
                   16, lambda params: params["loss.focal_gamma"])  # fmt: skip
    (found,) = find_findings(config, ended)
    assert (found.kind, found.change) == ("edge", "search.loss.focal_gamma: {high: 5}")


def test_two_choices_have_no_edge() -> None:
    config = experiment({"optimizer.batch_size": {"choices": [16, 32]}})
    assert find_findings(config, trials(config, 16, lambda params: params["optimizer.batch_size"])) == []


def test_most_trials_pruned_before_fine_tuning() -> None:
    config = experiment(study={"pruner": "hyperband"})
    ended = trials(config, 8, inside)
    for trial in ended[:5]:
        trial.state, trial.values, trial.intermediate_values = TrialState.PRUNED, None, {1: 0.5, 3: 0.6}
    (found,) = find_findings(config, ended)
    assert (found.kind, found.change) == ("pruned_early", "study.pruner: median")
    assert found.text.startswith("5 of 8 trials were pruned in the frozen stage")
    ended[0].intermediate_values = {4: 0.6}  # in stage 2
    assert find_findings(config, ended) == []


def test_a_metric_that_gets_better_as_it_falls() -> None:
    config = experiment({"stage2.lr": LR}, study={"metric": "val_loss", "direction": "minimize"})
    ended = trials(config, 16, lambda params: as_score(params["stage2.lr"], "minimize") + 1, stored=None)
    assert [found.change for found in find_findings(config, ended)] == ["search.stage2.lr: {high: 0.1}"]


@pytest.mark.parametrize(
    ("chooses", "ranks", "advice"),
    [
        ("val_auc", "val_auc", None),
        ("val_auc", "val_auc_tta", None),
        ("val_accuracy", "val_accuracy_crossfit", None),
        ("val_accuracy", "val_auc", "evaluation.metric=val_auc"),
        ("val_loss", "val_accuracy_tta", "evaluation.metric=val_accuracy"),
        ("val_loss", "val_sensitivity", "study.metric val_sensitivity ranks the trials"),
        ("stress_auc_mean", "stress_auc_mean", None),
        ("val_auc", "stress_auc_mean", "study.metric stress_auc_mean ranks the trials"),
    ],
)
def test_the_metric_that_chooses_epochs_differs_from_the_one_that_ranks(
    chooses: str, ranks: str, advice: str | None
) -> None:
    evaluation = {"metric": chooses, "stress": {"every": 1}}
    lines = notes(experiment(evaluation=evaluation, study={"metric": ranks, "pruner": "none"}))
    assert len(lines) == (advice is not None)
    assert all(line.endswith(str(advice)) for line in lines)


@pytest.mark.parametrize(
    ("study", "field"),
    [
        ({"pruner": "median"}, "pruner"),
        ({"pruner": "hyperband"}, "pruner"),
        ({"pruner": "none", "scheduler": "asha", "asha": {"first": 2}}, "scheduler"),
        ({"pruner": "none"}, None),
        ({"pruner": "median", "resampling": "kfold"}, None),  # whole trainings are compared
    ],
)
def test_averages_of_weights_that_are_compared_after_few_epochs(study: dict[str, Any], field: str | None) -> None:
    search = {"stage2.lr": LR, "stage2.ema": {"choices": [0.0, 0.99]}}
    lines = notes(experiment(search, study=study | {"metric": "val_auc"}))
    assert [line.partition(" ")[0] for line in lines] == ([f"study.{field}"] if field else [])
    assert all(f"set study.{field}=none" in line for line in lines)
    assert notes(experiment({"stage2.lr": LR}, study=study | {"metric": "val_auc"})) == []


@pytest.mark.parametrize(("value", "text"), [(0.1, "0.1"), (1e-5, "1.0e-05"), (2.5e-6, "2.5e-06"), (64, "64")])
def test_numbers_that_yaml_reads_as_numbers(value: float, text: str) -> None:
    assert yaml_number(value) == text
    assert yaml.safe_load(text) == value
