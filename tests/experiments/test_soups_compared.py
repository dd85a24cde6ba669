"""Uniform soups of an ablation's trainings, beside their first member."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from helpers.experiments import STRESSED
from mlflow import MlflowClient

from mobilenet_chest import train
from mobilenet_chest.config import Config
from mobilenet_chest.errors import UserError
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import get_run


def test_a_soup_of_one_is_its_member_and_of_two_another_network(
    phantom_config: Callable[..., Config], tracking: Path, script: ModuleType
) -> None:
    client, of_seed = MlflowClient(), []
    for choice, lr in (("baseline", 1e-3), ("stage2.lr=0.002", 2e-3)):
        run_id = str(train(phantom_config(STRESSED | {"stage2.lr": lr}), track=True).run_id)
        of_seed.append(script.Training(choice, metrics_of(get_run(client, run_id)), run_id))
    alone = script.soup_metrics(client, [of_seed[0].run_id])
    assert {name: alone[name] for name in script.METRICS} == {name: of_seed[0].metrics[name] for name in script.METRICS}
    rows = script.compared(client, [of_seed], ["stage2.lr=0.002"])
    assert [row.metric for row in rows] == list(script.METRICS)
    assert all(0 <= mean <= 1 for row in rows for mean in row.means)
    assert any(row.difference.mean for row in rows)
    with pytest.raises(UserError, match=r"stage2\.lr=0\.002"):
        script.compared(client, [of_seed], ["stage2.lr=0.02"])
