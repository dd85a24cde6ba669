"""The leaderboard with interval bars, and the answer in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.paired import BASELINE_METRICS, PRIMARY_METRIC, PairedComparison
from mobilenet_chest.report.markup import duration, figure, number, paragraph, probability, signed, table, with_interval
from mobilenet_chest.report.material import Material
from mobilenet_chest.selection.compare import REPORTED, Row

SHOWN = 25
"""Rows of the leaderboard at most; the bars of more would not be compared by eye."""

WORDS = {
    "val_auc": "validation AUC",
    "val_auc_tta": "validation AUC with TTA",
    "val_accuracy": "validation accuracy at 0.5",
    "val_accuracy_tta": "validation accuracy with TTA at 0.5",
    "val_accuracy_crossfit": "cross-fitted validation accuracy",
    "val_loss": "validation loss",
}

BAR_WIDTH = 200


def words(metric: str) -> str:
    """A metric's name for people."""
    return WORDS.get(metric, metric)


def answer(material: Material) -> Markup:
    """Which run is best, how sure its figure is, and whether it can be told from the others and the baseline."""
    own, metric = of_leader(material), material.metric
    optimism = _optimism(material)
    interval = own.intervals.get(metric)
    folds = f"the mean of {material.leader.folds} folds, " * bool(material.leader.folds)
    reached = f"{words(metric)} {own.metrics[metric]:.3f} " + (
        f"({folds}95% interval {interval.low:.3f} to {interval.high:.3f}, {material.leader.images_scored})"
        if interval
        else f"({folds}without an interval; {material.leader.images_scored})"
    )
    first = {
        "study": f"The best of this study{', confirmed on fresh seeds,' * bool(optimism)} is {own.name}: {reached}.",
        "comparison": f"The best of these runs is {own.name}: {reached}.",
        "run": f"This run reaches {reached}.",
    }
    said = [first[material.kind], *optimism, *_beside_others(material, own), *_beside_baseline(material, own)]
    further = Markup("").join(Markup("<li>{}</li>").format(sentence) for sentence in said[1:])
    listed = Markup("<ul>{}</ul>").format(further) if further else Markup("")
    return Markup('<div class="answer"><p>{}</p>{}</div>').format(said[0], listed)


def _optimism(material: Material) -> list[str]:
    """By how much the search's own claim was too good, where a confirmation has shown it."""
    if material.study is None or not material.study.data.tags.get("confirmed_run"):
        return []
    figures = material.study.data.metrics
    ends = f"{signed(figures['optimism_low'], 3)} to {signed(figures['optimism_high'], 3)}"
    return [f"What the search itself claimed was too good by {signed(figures['optimism'], 3)} ({ends})."]


def _beside_others(material: Material, own: Row) -> list[str]:
    """Whether it can be told from the other rows of the same images, by what compare tells rows apart by."""
    base = material.base.run_id if material.base else None  # which has a sentence of its own
    others = [row for row in material.rows if row.run_id not in (own.run_id, base)]
    same = [row for row in others if row.dataset == own.dataset and row.comparable]
    said = []
    if (best := next((row for row in same if row.best), None)) is not None:
        apart = "cannot be told from it" if own.tied else "is better beyond chance"
        highest = f"{words(PRIMARY_METRIC)}, {best.metrics[PRIMARY_METRIC]:.3f}"
        said.append(f"The highest {highest}, is that of {best.name}, which {apart}.")
    elif tied := [row.name for row in same if row.tied]:
        named = ", ".join(tied[:3]) + (f" and {len(tied) - 3} more" if len(tied) > 3 else "")
        said.append(f"By {words(PRIMARY_METRIC)} it cannot be told from {len(tied)} of {len(same)} others: {named}.")
    elif same:
        beaten = f"the {len(same)} others" if len(same) > 1 else same[0].name
        said.append(f"By {words(PRIMARY_METRIC)} it is better beyond chance than {beaten}.")
    if elsewhere := len(others) - len(same):
        said.append(f"Against {elsewhere} more nothing can be said: they were scored on other images.")
    return said


def _beside_baseline(material: Material, own: Row) -> list[str]:
    base = material.base
    if base is None or base.run_id == own.run_id:
        return []
    verdict = own.differences.get(material.metric)
    if verdict is None:
        return [f"It cannot be set against the baseline {base.name}: {own.reason}."]
    what = {"better": "is better than", "worse": "is worse than", "not inferior": "is not inferior to"}
    said = what.get(verdict.verdict, "cannot be told from")
    unequal = [f"The two were not chosen from equally much: {own.selection}."] if own.selection else []
    return [f"It {said} the baseline {base.name}: {words(material.metric)} {_difference(verdict)}.", *unequal]


def _difference(verdict: PairedComparison) -> str:
    ends = f"{signed(verdict.low, 3)} to {signed(verdict.high, 3)}"
    return f"{signed(verdict.value, 3)} ({ends}, {probability(verdict.p_holm)})"


def leaderboard(material: Material, reported: bool) -> Markup:
    """Rows with figure, interval and bar, verdicts against the baseline, and what else one chooses by."""
    metric, own, base = material.metric, of_leader(material), material.base
    shown = material.rows[:SHOWN]
    shown += [row for row in (own, base) if row is not None and row not in shown]
    spans = [row.intervals[metric] for row in shown if metric in row.intervals]
    ends = (min(span.low for span in spans), max(span.high for span in spans)) if spans else (0.0, 1.0)
    headings: list[str | Markup] = ["run", f"{words(metric)} (95% interval)", _scale(ends) if spans else ""]
    headings += [f"{words(name)}, less the baseline's" for name in _against(material)]
    headings += ["cross-fitted accuracy", "threshold", "parameters", "training", "run id"]
    cells = [_cells(row, material, ends) for row in shown]
    if reported:
        cells += [_reported_cells(row, len(_against(material))) for row in REPORTED]
    caption = f"By {words(metric)}, {material.leader.images_scored}"
    if len(material.rows) > len(shown):
        caption += f"; {len(shown)} of {len(material.rows)} rows"
    note = (
        "Bar: the interval, DeLong's of an AUC, Wilson's of a share, the bootstrap's of the rest and where patients "
        "have several images; dot: the figure; dashed line: the first "
        f"row's. ★ has the highest {words(PRIMARY_METRIC)}, ≈ cannot be told from it (paired DeLong, corrected for "
        "all pairs)."
    )
    if base is not None:
        note += (
            " Against the baseline: the difference, its 95% interval and p after Holm's correction for all rows, by "
            "paired DeLong of an AUC, exact McNemar of a share, the paired bootstrap of the rest."
        )
    if reported:
        note += " Rows of the source report are reported, not reproduced: of other images, and without an interval."
    return figure(None, note, table("leaderboard-rows", caption, headings, cells)) + _unequal(shown, base)


def _against(material: Material) -> tuple[str, ...]:
    """What rows are set against the baseline by."""
    return tuple(dict.fromkeys([material.metric, *BASELINE_METRICS])) if material.base else ()


def _unequal(shown: Sequence[Row], base: Row | None) -> Markup:
    """Which rows were not chosen from as much as the baseline."""
    others = [row for row in shown if base is None or row.run_id != base.run_id]
    said = []
    for text in dict.fromkeys(row.selection for row in others if row.selection):
        names = [row.name for row in others if row.selection == text]
        whose = "All but the baseline" if len(names) == len(others) > 1 else ", ".join(names)
        said.append(paragraph(f"{whose}: {text}.", "soft"))
    return Markup("").join(said)


def _cells(row: Row, material: Material, ends: tuple[float, float]) -> list[str | Markup]:
    metric, base = material.metric, material.base
    interval, crossfit = row.intervals.get(metric), row.intervals.get("val_accuracy_crossfit")
    mark = "★ " if row.best else "≈ " if row.tied else ""
    is_base = base is not None and row.run_id == base.run_id
    cells: list[str | Markup] = [
        f"{mark}{row.name}{' (baseline)' if is_base else ''}",
        with_interval(row.metrics.get(metric), interval),
        _span(interval, material.rows[0].metrics[metric], ends) if interval else "",
    ]
    for name in _against(material):
        verdict = row.differences.get(name)
        told: str | Markup = row.reason or "–"
        if verdict is not None:
            told = Markup("{}:<br>{}").format(verdict.verdict, _difference(verdict))
        cells.append("" if is_base else told)
    return [
        *cells,
        with_interval(row.metrics.get("val_accuracy_crossfit"), crossfit),
        number(row.metrics.get("threshold"), 2),
        "–" if row.parameters is None else f"{row.parameters:,}",
        duration(row.metrics.get("train_seconds")),
        Markup("<code>{}</code>").format(row.run_id),
    ]


def _reported_cells(row: Row, against: int) -> list[str | Markup]:
    accuracy = row.metrics.get("val_accuracy_tta_threshold", row.metrics.get("val_accuracy"))
    return [
        f"{row.name}: reported, not reproduced", f"accuracy {number(accuracy, 3)}", "",
        *["–"] * against, "–", number(row.metrics.get("threshold"), 2), f"{row.parameters:,}",
        duration(row.metrics.get("train_seconds")), "–",
    ]  # fmt: skip


def of_leader(material: Material) -> Row:
    """The row of the run that the rest of the page is about."""
    return next(row for row in material.rows if row.run_id == material.leader.run.info.run_id)


def _across(value: float, ends: tuple[float, float]) -> float:
    length = ends[1] - ends[0] or 1.0
    return 6 + (BAR_WIDTH - 12) * (value - ends[0]) / length


def _span(interval: Interval, best: float, ends: tuple[float, float]) -> Markup:
    """The interval to scale; the same figures stand beside it in words."""
    low, value, high, guide = (_across(one, ends) for one in (interval.low, interval.value, interval.high, best))
    return Markup(
        '<svg class="span" viewBox="0 0 {} 16" aria-hidden="true"><path class="line guide" d="M{:.1f} 0v16"/>'
        '<path class="line first" d="M{low:.1f} 8H{high:.1f}M{low:.1f} 4v8M{high:.1f} 4v8"/>'
        '<circle class="dot first" cx="{:.1f}" cy="8" r="4"/></svg>'
    ).format(BAR_WIDTH, guide, value, low=low, high=high)


def _scale(ends: Sequence[float]) -> Markup:
    """Ends of the bars' scale, above them."""
    return Markup('<span class="scale"><span>{}</span><span>{}</span></span>').format(*(f"{end:.3f}" for end in ends))
