"""Two models that answer side by side, compared by the log of their answers and, where they are known, by labels."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from mobilenet_chest.deploy.answer_log import FOLDER, read
from mobilenet_chest.deploy.answer_rows import CHALLENGER, CHAMPION, SHADOW
from mobilenet_chest.deploy.late_labels import labelled
from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.sequential import Sequential, paired, unpaired
from mobilenet_chest.registry import digests
from mobilenet_chest.registry.promotion import previous_tag
from mobilenet_chest.tracking.store import connect

IMAGE = ["request", "image"]
"""What a champion's row and its shadow's have in common."""

LIMIT = 20.0
"""Evidence from which on a difference is taken as shown: a false alarm in at most 5% of comparisons."""


@dataclass(frozen=True)
class Scored:
    """How often an arm was right, on one image of each patient with a label.

    Attributes:
        n: Patients.
        accuracy: Share of right answers; NaN of none, as the others.
        sensitivity: Share of right answers among those with label 1.
        specificity: Share of right answers among those with label 0.
    """

    n: int
    accuracy: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class Arm:
    """The answers of one model.

    Attributes:
        arm: ``champion``, ``challenger`` or ``shadow``.
        model: Name of the registered model.
        version: Its version that answered last; answers of others are left out.
        images: How many it has answered.
        patients: Of how many patients, or requests without one.
        positive: Share of answers with label 1.
        mean_probability: Mean of class 1.
        scored: With labels, how often it was right.
    """

    arm: str
    model: str
    version: str
    images: int
    patients: int
    positive: float
    mean_probability: float
    scored: Scored | None


@dataclass(frozen=True)
class Agreement:
    """The same images, answered by champion and shadow.

    Attributes:
        images: How many.
        same_label: Share with the same label.
        only_champion: Images that only the champion calls class 1.
        only_shadow: Images that only the shadow does.
        mean_difference: Mean of the shadow's probability minus the champion's.
        mean_absolute_difference: Mean of its size.
        largest_difference: Its largest size.
    """

    images: int
    same_label: float
    only_champion: int
    only_shadow: int
    mean_difference: float
    mean_absolute_difference: float
    largest_difference: float


@dataclass(frozen=True)
class AbComparison:
    """What the log says about two models.

    Attributes:
        name: Whose log it is.
        arms: Champion, then the other.
        left_out: Answers of other versions, or of the other kind of comparison.
        agreement: Of a shadow.
        sequential: With labels: accuracy of the second arm minus the champion's, with evidence.
        unmatched: Labels that fit no answer.
        better: Arm that is shown to be the better one.
    """

    name: str
    arms: tuple[Arm, Arm]
    left_out: int
    agreement: Agreement | None
    sequential: Sequential | None
    unmatched: int
    better: str | None


def compare(
    name: str, labels: Path | None = None, since: datetime | None = None, folder: Path | None = None
) -> AbComparison:  # fmt: skip
    """Compare the model that answers with its challenger or shadow, whichever has answered last.

    Args:
        name: Registered model whose log is read.
        labels: Table of labels, as :func:`~mobilenet_chest.deploy.late_labels.labelled` takes it.
        since: Only answers from this time on.
        folder: That of all logs; by default the one of servers that were given none.

    Raises:
        DataError: There is no log, it has no second model, or the labels cannot be used.
    """
    folder = folder or FOLDER
    log = read(name, since, folder).drop(columns="features")
    seconds = log.loc[log["arm"] != CHAMPION]
    if seconds.empty:
        raise DataError(
            f"{folder / name}: {len(log)} answers, and none of a second model; "
            f"start `mobilenet-chest serve {name}@champion --shadow MODEL` or --challenger MODEL"
        )
    second = str(seconds["arm"].iloc[-1])
    kept = pd.concat([_last_version(log, arm) for arm in (CHAMPION, second)])
    # an answer that was given while there was no challenger was not drawn by lot
    kept = kept.loc[kept["share"].notna()] if second == CHALLENGER else kept
    sides = [kept.loc[kept["arm"] == arm] for arm in (CHAMPION, second)]
    if sides[0].empty:
        raise DataError(f"{folder / name}: the champion has answered nobody while the {second} did; wait for answers")
    known, unmatched = (None, 0) if labels is None else labelled(labels, kept, folder)
    pairs = sides[0].merge(sides[1], on=IMAGE, suffixes=("", "_2")) if second == SHADOW else None
    sequential: Sequential | None = None
    scored: tuple[Scored | None, Scored | None] = (None, None)
    if known is not None:
        sequential, scored = _by_pairs(known, pairs) if pairs is not None else _by_arms(known)
    first, other = (_arm(side, score) for side, score in zip(sides, scored, strict=True))
    agreement = None if pairs is None else _agreement(pairs)
    return AbComparison(name, (first, other), len(log) - len(kept), agreement, sequential, unmatched,
                        _better(sequential, second))  # fmt: skip


def next_step(comparison: AbComparison) -> str:
    """Return the line to type after a comparison that has shown a difference, and "" after others.

    Raises:
        TrackingError: The registry cannot be reached, or has a version no more.
    """
    first, second = comparison.arms
    if comparison.better is None:
        return ""
    if comparison.better == CHAMPION:
        return f"mobilenet-chest serve {shlex.quote(first.model)}@champion"
    client, name = connect(), shlex.quote(first.model)
    champion, rival = (digests.find_version(client, f"models:/{arm.model}/{arm.version}") for arm in (first, second))
    if second.model == first.model and champion.tags.get(previous_tag("champion")) == second.version:
        return f"mobilenet-chest promote --rollback {name}"
    return f"mobilenet-chest promote {rival.run_id} --name {name}"


def _last_version(log: pd.DataFrame, arm: str) -> pd.DataFrame:
    rows: pd.DataFrame = log.loc[log["arm"] == arm]
    if rows.empty:
        return rows
    names = rows["model"] + "/" + rows["version"]
    last: pd.DataFrame = rows.loc[names == names.iloc[-1]]
    return last


def _patients(rows: pd.DataFrame) -> pd.Series:
    """Return whom each row is for: a patient, or a request without one."""
    return rows["patient"].fillna(rows["request"])


def _arm(rows: pd.DataFrame, scored: Scored | None) -> Arm:
    last = rows.iloc[-1]
    return Arm(str(last["arm"]), str(last["model"]), str(last["version"]), len(rows), _patients(rows).nunique(),
               float(rows["label"].mean()), float(rows["probability"].mean()), scored)  # fmt: skip


def _agreement(pairs: pd.DataFrame) -> Agreement:
    first, second = pairs["label"].to_numpy(), pairs["label_2"].to_numpy()
    difference = (pairs["probability_2"] - pairs["probability"]).to_numpy()
    if not len(pairs):
        return Agreement(0, math.nan, 0, 0, math.nan, math.nan, math.nan)
    return Agreement(
        len(pairs), float((first == second).mean()), int((first > second).sum()), int((first < second).sum()),
        float(difference.mean()), float(np.abs(difference).mean()), float(np.abs(difference).max()),
    )  # fmt: skip


def _by_pairs(known: pd.DataFrame, pairs: pd.DataFrame) -> tuple[Sequential, tuple[Scored, Scored]]:
    """Compare a champion and a shadow on the first image of each patient that both have answered."""
    truth = known.loc[known["arm"] == CHAMPION, [*IMAGE, "truth"]]
    rows = pairs.merge(truth, on=IMAGE)
    # images of a request that names no patient may be of several, and both models have answered each of them
    anybody = rows["request"] + "/" + rows["image"].astype(str)
    rows = rows.loc[~rows["patient"].fillna(anybody).duplicated()]
    first, second = (rows[column].to_numpy() == rows["truth"].to_numpy() for column in ("label", "label_2"))
    return paired(first, second), (_scored(rows, "label"), _scored(rows, "label_2"))


def _by_arms(known: pd.DataFrame) -> tuple[Sequential, tuple[Scored, Scored]]:
    """Compare the patients of a champion and of a challenger, by one image of each."""
    rows = known.sort_values("time", kind="stable")
    rows = rows.loc[~_patients(rows).duplicated()]
    second = rows["arm"].to_numpy() == CHALLENGER
    correct = rows["label"].to_numpy() == rows["truth"].to_numpy()
    result = unpaired(correct, second, rows["share"].to_numpy(np.float64))
    return result, (_scored(rows.loc[~second], "label"), _scored(rows.loc[second], "label"))


def _scored(rows: pd.DataFrame, column: str) -> Scored:
    truth = rows["truth"].to_numpy()
    correct = rows[column].to_numpy() == truth

    def share(chosen: np.ndarray) -> float:
        return float(correct[chosen].mean()) if chosen.any() else math.nan

    return Scored(len(rows), share(np.ones(len(rows), np.bool_)), share(truth == 1), share(truth == 0))


def _better(sequential: Sequential | None, second: str) -> str | None:
    if sequential is None or sequential.e_value < LIMIT:
        return None
    return second if sequential.value > 0 else CHAMPION
