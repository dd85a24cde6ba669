"""The command ``distill``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, print_json
from mobilenet_chest.cli.live import live_training
from mobilenet_chest.cli.options import Experiment, Json, Teacher, load_experiment
from mobilenet_chest.combine.distill import distill as train_student
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    from mobilenet_chest.combine.members import Member


def distill(arguments: Experiment, teacher: Teacher, as_json: Json = False) -> None:
    """Train a network on the probabilities of another.

    The teacher's probabilities are a part of the loss; loss.distill_weight is their share.

    Example: mobilenet-chest distill small.yaml --teacher quickstart
    """
    with exit_codes():
        _print_student(train_student(load_experiment(arguments), teacher, live_training), teacher, as_json)


def _print_student(student: Member, teacher: str, as_json: bool) -> None:
    metrics, teacher_run = metrics_of(student.run), student.run.data.tags[tags.TEACHER]
    if as_json:
        print_json({"run_id": student.run_id, "teacher": teacher_run, "metrics": metrics})
        return
    run = short_id(student.run_id)
    line(f"run {run}, taught by {teacher}: val_auc {metrics['val_auc']:.4f} on the validation split")
    line(f"compare: mobilenet-chest compare {run} --baseline {short_id(teacher_run)}")
