"""Baselines: several experiments trained one after the other with the same budget, side by side in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from mobilenet_chest.combine.ensemble import seed_ensemble
from mobilenet_chest.combine.members import ProgressDisplay, no_display, train_members
from mobilenet_chest.config import MODEL_NAMES, Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import ConfigError, nearest
from mobilenet_chest.selection.compare import compare
from mobilenet_chest.selection.rows import Row
from mobilenet_chest.tracking.artifacts import run_config, trained_model
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import get_run
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.tracker import MlflowTracker
from mobilenet_chest.training.predict import latencies

LATENCY_BATCH = 64
"""Number of images in the larger of the two batches whose latency is measured."""

SPEED_REFERENCE = "densenet121"
"""Architecture that the speed ratio refers to, as in the source report (section 3.4)."""


def baselines(
    configs: Sequence[Config], ensembles: Mapping[str, int], display: ProgressDisplay = no_display
) -> list[Row]:
    """Train the experiments that were not trained yet, and compare all of them with the source report's values.

    Args:
        configs: The experiments, one for each row.
        ensembles: Architecture -> number of seeds of its first experiment, whose ensemble is a further row.
        display: Shows the trainings.

    Returns:
        Rows with ``latency_1_ms`` and ``latency_64_ms`` (of the network on this machine's CPU, without TTA) among the
        metrics.

    Raises:
        UserError: A training cannot be started; raised before the first one starts.
    """
    names = [config.model.name for config in configs]
    if unknown := [name for name in ensembles if name not in names]:
        raise ConfigError(
            [f"--ensemble {unknown[0]}: no experiment has this architecture{nearest(unknown[0], MODEL_NAMES)}; the "
             f"experiments have: {', '.join(dict.fromkeys(names))}"]
        )  # fmt: skip
    run_ids = [member.run_id for member in train_members(configs, display)]
    reference = next((run_ids[index] for index, name in enumerate(names) if name == SPEED_REFERENCE), run_ids[0])
    for name, seeds in ensembles.items():
        run_ids.append(seed_ensemble(configs[names.index(name)], seeds, display).run_id)
    for run_id in run_ids:
        _log_latency(run_id)
    return compare(run_ids, baseline=reference, reported=True)


def _log_latency(run_id: str) -> None:
    """Measure the network's latency for 1 and 64 images on this machine's CPU, unless the run has it already."""
    client = connect()
    run = get_run(client, run_id)
    if "latency_1_ms" in metrics_of(run):
        return
    config = run_config(client, run)
    model = trained_model(client, run, config)
    images = load_train_val(config.data).val.images
    batch = images[torch.arange(LATENCY_BATCH) % len(images)]
    one, many = latencies(model, [batch[:1], batch])
    MlflowTracker(resume=run_id).log_metrics({"latency_1_ms": one, f"latency_{LATENCY_BATCH}_ms": many})
