"""The rows of a trial: one split for all, a split for each, or folds; and what that does to a search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.sweeps import runs_by_trial
from mlflow import MlflowClient
from scipy.stats import norm

from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import DataError
from mobilenet_chest.sweep import check, run_sweep
from mobilenet_chest.sweep.splits import rows_of_trials, scored_on, split_seed, trainings
from mobilenet_chest.tracking.artifacts import run_config, stored_predictions

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def test_seeds_of_splits_are_the_studys_and_the_trials() -> None:
    seeds = [split_seed(7, number) for number in range(100)]
    assert seeds[:2] == [split_seed(7, 0), split_seed(7, 1)]
    assert len({*seeds, *(split_seed(8, number) for number in range(100))}) == 200
    assert 0 <= min(seeds) < max(seeds) < 2**32


@pytest.mark.slow
def test_each_trial_has_its_own_split_and_a_retry_that_of_the_first_try(
    here: Path, tiny_search: Make, driver_dies: Callable[[int], None]
) -> None:
    config = tiny_search(RANGE, trials=3, resampling="reshuffle")
    driver_dies(3)  # in the first epoch of the second trial
    with pytest.raises(KeyboardInterrupt):
        run_sweep(config)
    driver_dies(0)
    result = run_sweep(config)
    # trial 2 has the values, the run and the rows of trial 1, which was interrupted
    assert [trial.number for trial in result.trials] == [0, 2, 3]
    client, runs = MlflowClient(), runs_by_trial(result.run_id)
    assert sorted(runs) == [0, 2, 3]
    whole = load_train_val(config.data)
    assert client.get_run(result.run_id).data.tags["data_digest"] == whole.digest
    rows = set()
    for number, origin in ((0, 0), (2, 1), (3, 3)):
        trial_config = run_config(client, runs[number])
        assert trial_config.data.split_seed == split_seed(7, origin)
        assert runs[number].data.tags["data_digest"] == load_train_val(trial_config.data).digest
        table = stored_predictions(client, runs[number], "val")
        assert table["row"].tolist() == load_train_val(trial_config.data).val.rows.tolist()
        assert len(table) == len(whole.val)
        assert table["label"].sum() == round(
            len(whole.val) * np.mean([*whole.train.labels.tolist(), *whole.val.labels.tolist()])
        )
        rows.add(tuple(table["row"]))
    assert len(rows) == 3


def test_rows_that_cannot_be_divided_are_refused_before_anything_is_trained(tracking: Path, tiny_search: Make) -> None:
    with pytest.raises(DataError, match=r"data\.folds: 50, .*class 0 "):
        check(tiny_search(RANGE, resampling="kfold", folds=50))
    assert not (tracking / "optuna.db").exists()
    with np.load(tiny_search(RANGE).data.path or "") as file:
        np.savez(tracking / "one.npz", **file, train_patient=np.zeros(80, int), val_patient=np.zeros(40, int))
    one_patient = with_values(tiny_search(RANGE), {"data.path": str(tracking / "one.npz")})
    assert len(load_train_val(one_patient.data).val) == 34
    with pytest.raises(DataError, match=r"data\.split_seed: \d+, .*patient"):
        check(tiny_search(RANGE, {"data.path": str(tracking / "one.npz")}, resampling="reshuffle"))


def test_trainings_of_a_trial(phantom_config: Make) -> None:
    configs = {
        how: phantom_config({"search": RANGE, "study": {"resampling": how}} | seeded)
        for how, seeded in (("holdout", {}), ("reshuffle", {}), ("kfold", {"data.split_seed": 2}))
    }
    assert {how: trainings(made) for how, made in configs.items()} == {"holdout": 1, "reshuffle": 1, "kfold": 5}
    three = {"resampling": "kfold", "folds": 3, "metric": "val_sensitivity"}
    assert trainings(phantom_config({"search": RANGE, "study": three})) == 3


def test_sentences_about_rows(phantom_config: Make) -> None:
    sentences = {}
    for how in ("holdout", "reshuffle", "kfold"):
        config = phantom_config({"search": RANGE, "study": {"resampling": how}})
        sentences[how] = (rows_of_trials(config, load_train_val(config.data)), scored_on(config))
    assert sentences == {
        "holdout": ("", "on the validation split"),
        "reshuffle": (
            "; each splits the 102 rows of train and val differently, 34 for validation",
            "on a split of its own",
        ),
        "kfold": ("; each trains 5 times, on folds of the 102 rows of train and val", "on average over 5 folds"),
    }


# --- simulated studies, without training -----------------------------------------------------------------------


ROWS, VALIDATION, TRIALS, SHARED = 2611, 305, 20, 0.5
"""Train and val of ChestMNIST's two classes; ``SHARED`` of what makes an image hard is the same for all networks."""


def studies(count: int, spread: float, seed: int = 0) -> dict[str, tuple[float, float]]:
    """For each ``study.resampling``: by how much the chosen trial's true accuracy is below the best one's, and by how
    much its value is above its true accuracy, both in points and in the mean of the studies.

    Args:
        count: Studies.
        spread: Standard deviation of the trials' true accuracies, whose mean is 0.89.
        seed: Of all chance.
    """
    random = np.random.default_rng(seed)
    results: dict[str, list[tuple[float, float]]] = {"holdout": [], "reshuffle": [], "kfold": []}
    for _ in range(count):
        true = np.clip(random.normal(0.89, spread, TRIALS), 0, 0.999)
        hard = np.sqrt(SHARED) * random.normal(size=ROWS)
        right = hard + np.sqrt(1 - SHARED) * random.normal(size=(TRIALS, ROWS)) < norm.ppf(true)[:, None]
        values = {
            "holdout": right[:, random.permutation(ROWS)[:VALIDATION]].mean(axis=1),
            "reshuffle": np.array([random.permutation(of_trial)[:VALIDATION].mean() for of_trial in right]),
            "kfold": right.mean(axis=1),
        }
        for how, value in values.items():
            chosen = int(value.argmax())
            results[how].append((true.max() - true[chosen], value[chosen] - true[chosen]))
    behind_and_claimed = {how: 100 * np.mean(pairs, axis=0) for how, pairs in results.items()}
    return {how: (float(behind), float(claimed)) for how, (behind, claimed) in behind_and_claimed.items()}


@pytest.mark.slow
def test_one_split_for_all_is_a_fairer_race_than_a_split_for_each_and_folds_fairer_still() -> None:
    results = studies(300, spread=0.01)
    behind, claimed = ({how: pair[place] for how, pair in results.items()} for place in (0, 1))
    assert behind["kfold"] < 0.5 * behind["holdout"]
    assert behind["holdout"] < behind["reshuffle"]
    assert claimed["kfold"] < 0.5 * claimed["holdout"]
    assert claimed["holdout"] < claimed["reshuffle"]


@pytest.mark.slow
def test_of_equal_trials_the_value_of_the_best_is_too_good_by_what_the_rows_differ() -> None:
    results = studies(300, spread=0.0)
    assert {how: behind for how, (behind, _) in results.items()} == {"holdout": 0, "reshuffle": 0, "kfold": 0}
    # the largest of 20 normal deviates is at 1.87 standard deviations
    alone = 187 * np.sqrt(0.89 * 0.11 / VALIDATION)
    assert results["reshuffle"][1] == pytest.approx(alone, abs=0.25)
    assert results["kfold"][1] < results["holdout"][1] < results["reshuffle"][1]
