"""Two confirmed studies, compared seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
from mlflow import MlflowClient

from mobilenet_chest.errors import UserError
from mobilenet_chest.tracking.store import experiment_id


def confirmed(client: MlflowClient, name: str, aucs: Mapping[int, float]) -> None:
    """Store a study whose trial 4 was confirmed with these AUCs by seed, and trial 2 with another on the first seed."""
    experiment = experiment_id(client, "x")
    study = client.create_run(experiment, tags={"kind": "study", "study": name, "confirmed_trial": "4"}).info.run_id
    other_trial = {("2", seed): 0.5 for seed in [*aucs][:1]}
    for (trial, seed), auc in ({("4", seed): auc for seed, auc in aucs.items()} | other_trial).items():
        labels = {"kind": "confirm", "trial": trial, "confirm_seed": str(seed), "mlflow.parentRunId": study}
        run = client.create_run(experiment, tags=labels).info.run_id
        client.log_metric(run, "final/heldout_stress_auc_mean", auc)
        client.set_terminated(run)


def test_differences_are_paired_by_seed(tracking: Path, script: ModuleType) -> None:
    client = MlflowClient()
    confirmed(client, "stress", {5: 0.90, 6: 0.92, 7: 0.94})
    confirmed(client, "clean", {7: 0.91, 6: 0.90, 5: 0.89})
    confirmed(client, "others", {5: 0.9, 8: 0.9})
    (row,) = script.compared(client, "stress", "clean", ("heldout_stress_auc_mean",))
    assert row.means == pytest.approx((0.92, 0.90))
    assert row.difference.each == pytest.approx((0.01, 0.02, 0.03))
    # Student's t with 2 degrees of freedom, 0.01 / sqrt(3)
    assert (row.difference.low, row.difference.high) == pytest.approx((0.02 - 0.024841, 0.02 + 0.024841), abs=1e-6)
    for other, metric, part in (
        ("others", "heldout_stress_auc_mean", "others [5, 8]"),
        ("clean", "val_auc", "no val_auc; all have: heldout_stress_auc_mean"),
    ):
        with pytest.raises(UserError) as caught:
            script.compared(client, "stress", other, (metric,))
        assert part in str(caught.value)
    client.create_run(experiment_id(client, "x"), tags={"kind": "study", "study": "plain"})
    with pytest.raises(UserError, match="study plain is not confirmed"):
        script.compared(client, "plain", "clean")
