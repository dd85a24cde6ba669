"""Trials whose values were tried before: such a trial takes the earlier one's result, or is another seed of it.

The same values, rows and seed give the same result, so a training would teach nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.optuna_adapter import set_attributes

Kind = Literal["result", "seed", "split"]


RESULT_OF = "result of "
"""How the words begin that say whose result a trial has."""


class Repeat(NamedTuple):
    """How a trial repeats an earlier one with the same values.

    Attributes:
        trial: Number of the earlier trial.
        kind: ``result``: it took the earlier one's result; ``seed``: it was trained on another seed; ``split``: it was
            trained on other rows, as all trials of ``study.resampling: reshuffle`` are.
        seed: The other seed.
    """

    trial: int
    kind: Kind
    seed: int | None = None

    def __str__(self) -> str:
        """Return what a table says of it."""
        return {"result": f"{RESULT_OF}{self.trial}", "seed": f"{self.trial}, other seed",
                "split": f"{self.trial}, other split"}[self.kind]  # fmt: skip


def repeat_of(trial: Trial | FrozenTrial) -> Repeat | None:
    """Return how a trial repeats another, as it says itself."""
    stored = trial.user_attrs.get(attributes.REPEATS)
    return None if stored is None else Repeat(**stored)


def took_result(trial: FrozenTrial) -> bool:
    """Whether a trial was not trained, and has the result of an earlier one."""
    repeat = repeat_of(trial)
    return repeat is not None and repeat.kind == "result"


def find_repeat(config: Config, trial: Trial, same: Sequence[FrozenTrial]) -> Repeat | None:
    """Return how a new trial is to repeat one of those with the same values, if it does.

    Args:
        config: The experiment.
        trial: The new trial.
        same: The trials that have its values and count, or run. One that failed has no result to take and is tried
            again.
    """
    finished = [each for each in same if each.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    known = [each for each in finished or same if each.state != TrialState.FAIL and not took_result(each)]
    if not known or "seed" in config.search:
        return None
    first = min(known, key=lambda each: (each.state != TrialState.COMPLETE, each.number)).number
    if config.study.resampling == "reshuffle":
        return Repeat(first, "split")
    if finished:
        return Repeat(first, "result")
    digest = hashlib.sha256(f"{config.seed} repeat {trial.number}".encode()).digest()
    return Repeat(first, "seed", int.from_bytes(digest[:4], "big"))


def repeat_fields(trial: Trial) -> dict[str, Any]:
    """Return the fields of the experiment that a repeated trial has of its own: another seed, or none."""
    repeat = repeat_of(trial)
    return {} if repeat is None or repeat.seed is None else {"seed": repeat.seed}


def note_repeat(trial: Trial, repeat: Repeat) -> None:
    """Note in a trial how it repeats another."""
    trial.set_user_attr(attributes.REPEATS, repeat._asdict())


def take_result(study: optuna.Study, trial: Trial, earlier: FrozenTrial) -> None:
    """End a trial with all that is known of an earlier one: its reports, constraints, run, state and values."""
    for step, value in sorted(earlier.intermediate_values.items()):
        if len(study.directions) == 1:
            trial.report(value, step)
    for name, violation in earlier.constraints.items():
        trial.set_constraint(name, violation)
    kept = (attributes.RUN_ID, attributes.MLFLOW, attributes.VIOLATES)
    set_attributes(study, trial, {name: earlier.user_attrs[name] for name in kept if name in earlier.user_attrs})
    complete = earlier.state == TrialState.COMPLETE
    study.tell(trial, list(earlier.values) if complete else None, state=earlier.state)
