"""The recipes of two winners, taken to synthetic films of another site."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers.experiments import STRESSED
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest import train
from mobilenet_chest.config import Config
from mobilenet_chest.data import phantom
from mobilenet_chest.tracking.runs import find_all


def test_only_the_data_differ(phantom_config: Callable[..., Config], script: ModuleType) -> None:
    recipe = phantom_config({"seed": 5, "augment": {"hflip": 0.25}})
    there = script.on_phantom(recipe)
    assert (there.data.dataset, there.data.path, there.data.image_size) == ("phantom", None, 32)
    assert there.name == "tiny-phantom"
    fields = [config.resolved() for config in (recipe, there)]
    for each in fields:
        del each["data"], each["name"]
    assert fields[0] == fields[1]


@pytest.mark.slow
def test_each_seed_is_trained_once_and_scored_on_the_cohort(
    phantom_config: Callable[..., Config], tracking: Path, script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient()

    def winners(_: MlflowClient, study: str) -> dict[int, Run]:
        return {seed: client.get_run(run_id) for seed, run_id in runs[study].items()}

    runs = {
        study: {
            seed: str(train(phantom_config(STRESSED | {"seed": seed, "stage2.lr": lr}), track=True).run_id)
            for seed in (1, 2)
        }
        for study, lr in (("first", 1e-3), ("second", 2e-3))
    }
    monkeypatch.setattr(script, "winning_runs", winners)
    cohort = tracking / "b.npz"
    np.savez(cohort, **phantom.generate(64, {"train": 0, "val": 0, "test": 120}, sites=("B",)))
    found = [script.by_seed(study, cohort) for study in ("first", "second")]
    assert [sorted(each) for each in found] == [[1, 2], [1, 2]]
    assert len({each[seed][script.METRICS[0]] for each in found for seed in (1, 2)}) == 4
    every = len(find_all(client, [each.experiment_id for each in client.search_experiments()]))
    assert [script.by_seed(study, cohort) for study in ("first", "second")] == found
    assert len(find_all(client, [each.experiment_id for each in client.search_experiments()])) == every
    rows = script.paired(("first", "second"), tuple(found), script.METRICS)
    assert [row.metric for row in rows] == list(script.METRICS)
