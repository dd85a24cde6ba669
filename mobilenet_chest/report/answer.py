"""The answer in a few sentences: which run is best, how sure that is, and how it compares."""

from __future__ import annotations

from mobilenet_chest.config.formats import ends, listed, p_value, signed
from mobilenet_chest.config.metrics import label
from mobilenet_chest.evaluation.paired import PRIMARY_METRIC, PairedComparison
from mobilenet_chest.report.subject import Subject
from mobilenet_chest.tracking.run_metrics import metrics_of

NAMED = 3
"""Runs that are named at most where several are indistinguishable from the best."""


def answer(subject: Subject) -> list[str]:
    """Return the main sentence first, then those below it: optimism, the other rows, the baseline."""
    return [
        _best(subject),
        *_optimism(subject),
        *_among_others(subject),
        *_against_baseline(subject),
    ]


def _best(subject: Subject) -> str:
    leader, row, metric = subject.leader, subject.leader_row, subject.metric
    mean = f"the mean of {leader.folds} folds, " if leader.folds else ""
    interval = row.intervals.get(metric)
    if interval is None:
        sure = f"({mean}without an interval; {leader.images_scored})"
    else:
        sure = f"({mean}95% interval {ends(interval, to=' to ')}, {leader.images_scored})"
    reached = f"{label(metric)} {row.metrics[metric]:.3f} {sure}"
    if subject.kind == "run":
        return f"This run reaches {reached}."
    if subject.kind == "comparison":
        return f"The best of these runs is {row.name}: {reached}."
    confirmed = ", confirmed on fresh seeds," if subject.is_confirmed else ""
    return f"The best of this study{confirmed} is {row.name}: {reached}."


def _optimism(subject: Subject) -> list[str]:
    """Return by how much the search's own result was too good, where a confirmation has measured it."""
    if subject.study is None or not subject.is_confirmed:
        return []
    metrics = metrics_of(subject.study)
    optimism_ends = f"{signed(metrics['optimism_low'], 3)} to {signed(metrics['optimism_high'], 3)}"
    return [
        f"The search's own value was optimistic by {signed(metrics['optimism'], 3)} (95% interval {optimism_ends})."
    ]


def _among_others(subject: Subject) -> list[str]:
    """Return how the leader compares with the rows that were scored on the same images."""
    leader = subject.leader_row
    base = subject.base.run_id if subject.base else None  # the baseline has a sentence of its own
    others = [row for row in subject.rows if row.run_id not in (leader.run_id, base)]
    same = [row for row in others if row.dataset == leader.dataset and row.comparable]
    sentences = []
    if (best := next((row for row in same if row.best), None)) is not None:
        apart = "the two are indistinguishable" if leader.tied else "it is significantly better"
        highest = f"{label(PRIMARY_METRIC)}, {best.metrics[PRIMARY_METRIC]:.3f}"
        sentences.append(f"{best.name} has the highest {highest}; {apart}.")
    elif ties := [row.name for row in same if row.tied]:
        named = listed(ties[:NAMED]) + (f" and {len(ties) - NAMED} more" if len(ties) > NAMED else "")
        counts = f"{len(ties)} of {len(same)} others"
        sentences.append(f"By {label(PRIMARY_METRIC)} it is indistinguishable from {counts}: {named}.")
    elif same:
        beaten = f"the {len(same)} others" if len(same) > 1 else same[0].name
        sentences.append(f"By {label(PRIMARY_METRIC)} it is significantly better than {beaten}.")
    if elsewhere := len(others) - len(same):
        sentences.append(f"{elsewhere} more cannot be compared: scored on other images.")
    return sentences


def _against_baseline(subject: Subject) -> list[str]:
    base, leader = subject.base, subject.leader_row
    if base is None or base.run_id == leader.run_id:
        return []
    verdict = leader.differences.get(subject.metric)
    if verdict is None:
        return [f"It cannot be compared with the baseline {base.name}: {leader.reason}."]
    words = {"better": "is better than", "worse": "is worse than", "not inferior": "is not inferior to"}
    relation = words.get(verdict.verdict, "is indistinguishable from")
    unequal = [f"The two selections were unequal: {leader.selection}."] if leader.selection else []
    metric = label(subject.metric)
    return [f"It {relation} the baseline {base.name}: {metric} {difference(verdict)}.", *unequal]


def difference(verdict: PairedComparison) -> str:
    """Return a difference from the baseline with its 95% interval and p value."""
    ends = f"{signed(verdict.low, 3)} to {signed(verdict.high, 3)}"
    return f"{signed(verdict.value, 3)} ({ends}, {p_value(verdict.p_holm)})"
