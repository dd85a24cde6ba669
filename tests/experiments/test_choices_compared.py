"""What two metrics choose of an ablation, compared seed by seed."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
from mlflow import MlflowClient

from mobilenet_chest.errors import UserError
from mobilenet_chest.tracking.store import experiment_id

HELD_OUT = "heldout_stress_auc_mean"


def ablation(path: Path, rows: dict[str, list[dict[str, float]]]) -> Path:
    """Store runs with these metrics, choice -> one for each seed, and write what ``ablate --json`` prints of them."""
    client = MlflowClient()
    written = []
    for choice, by_seed in rows.items():
        run_ids = []
        for metrics in by_seed:
            run_id = client.create_run(experiment_id(client, "x")).info.run_id
            for name, value in metrics.items():
                client.log_metric(run_id, f"final/{name}", value)
            client.set_terminated(run_id)
            run_ids.append(run_id)
        written.append({"choice": {choice: True} if choice else {}, "run_ids": run_ids})
    path.write_text(json.dumps({"rows": written}), "utf-8")
    return path


def of(stress: float, clean: float, held_out: float) -> dict[str, float]:
    return {"stress_auc_mean": stress, "val_auc": clean, HELD_OUT: held_out, "val_brier": 1 - held_out}


def test_each_metric_chooses_in_each_seed(tracking: Path, tmp_path: Path, script: ModuleType) -> None:
    path = ablation(
        tmp_path / "ablation.json",
        {
            "": [of(0.80, 0.99, 0.70), of(0.80, 0.99, 0.60)],
            "a.b": [of(0.90, 0.98, 0.75), of(0.70, 0.99, 0.90)],  # its clean AUC equals the baseline's in seed 2
            "c": [of(0.85, 0.97, 0.99), of(0.90, 0.95, 0.63)],
        },
    )
    by_seed = script.trainings(MlflowClient(), path)
    assert [t.choice for t in script.chosen(by_seed, "stress_auc_mean")] == ["a.b=True", "c=True"]
    assert [t.choice for t in script.chosen(by_seed, "val_auc")] == ["baseline", "baseline"]
    (row,) = script.compared(by_seed, script.CHOOSE_BY, (HELD_OUT,))
    assert row.means == pytest.approx((0.69, 0.65))
    assert row.difference.each == pytest.approx((0.05, 0.03))
    assert [t.choice for t in script.chosen(by_seed, "val_brier")] == ["c=True", "a.b=True"]  # less is better
    with pytest.raises(UserError) as caught:
        script.chosen(by_seed, "val_loss")
    for part in ("val_loss", "heldout_stress_auc_mean, stress_auc_mean, val_auc, val_brier"):
        assert part in str(caught.value)


def test_another_file_is_refused(tracking: Path, tmp_path: Path, script: ModuleType) -> None:
    (tmp_path / "text.json").write_text("Δ", "utf-8")
    (tmp_path / "list.json").write_text("[]", "utf-8")
    uneven = ablation(tmp_path / "uneven.json", {"": [of(0.8, 0.9, 0.7)], "a": []})
    for path in (tmp_path / "text.json", tmp_path / "list.json", tmp_path / "missing.json", uneven):
        with pytest.raises(UserError) as caught:
            script.trainings(MlflowClient(), path)
        assert path.name in str(caught.value)
