"""Compression by training: an experiment is made of the original's, and trained as any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mobilenet_chest.combine.distill import teacher_logits
from mobilenet_chest.combine.members import ProgressDisplay, no_display, train_members
from mobilenet_chest.config import Config, parse
from mobilenet_chest.config.loading import split_override
from mobilenet_chest.config.paths import assign
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.two_stage import Check

INHERITED = (
    "name", "seed", "device", "plugins", "data", "model", "augment", "loss", "optimizer", "stage2", "evaluation",
)  # fmt: skip
"""Fields of the original that its compressed form is trained with; what its stage 1 and study did is done."""

QUANTIZED_EPOCHS, QUANTIZED_LR = 5, 0.1
"""Epochs that a network in 8-bit integers learns, and its learning rate as a share of the original's stage 2."""


def compressed_config(original: Config, run_id: str, method: str, overrides: Sequence[str] = ()) -> Config:
    """Return the experiment that compresses a run: stage 2 of the original's, of all layers at full size.

    Args:
        original: Experiment of the run.
        run_id: The run.
        method: Value of ``compress.method``.
        overrides: ``key=value``, as of the command ``train``.

    Raises:
        ConfigError: An override is wrong, or the fields do not go together.
    """
    resolved = original.resolved()
    fields: dict[str, Any] = {name: resolved[name] for name in INHERITED}
    fields["stage1"] = {"epochs": 0}
    fields["stage2"] |= {"unfreeze_from": [0], "resolutions": None}
    if method == "int8-qat":  # it only settles into its rounding
        fields["stage2"] |= {"epochs": QUANTIZED_EPOCHS, "lr": original.stage2.lr * QUANTIZED_LR}
    fields["tracking"] = resolved["tracking"] | {"experiment": original.experiment}
    fields["gates"] = resolved["gates"]
    fields["study"] = {name: resolved["study"][name] for name in ("metric", "direction")}
    fields["compress"] = {"method": method, "parent": run_id}
    assignments = [split_override(override) for override in overrides]
    for path, value in assignments:
        assign(fields, path, value)
    # parsed, not loaded: a run's plugins are never run because the run names them
    return parse(fields, source=f"compress {short_id(run_id)}", overridden=[path for path, _ in assignments])


def compress_by_training(config: Config, display: ProgressDisplay = no_display, check: Check | None = None) -> str:
    """Train a compressed network, or find the run that did; return its run id.

    A training that was interrupted is resumed. With ``loss.distill_weight`` the parent is the teacher.

    Args:
        config: As :func:`compressed_config` returns it.
        display: Shows the training.
        check: Decides whether the run of a new training may finish.

    Raises:
        UserError: The parent cannot be compressed in this way.
        TrainingDiverged: The training diverged.
    """
    teacher = teacher_logits(config, str(config.compress.parent)) if config.loss.distill_weight else None
    (member,) = train_members([config], display, teacher, check)
    return member.run_id
