"""The sites that a trial left out in turn: the metrics of each, by the model that was trained without it."""

from __future__ import annotations

from mobilenet_chest.config.formats import number, with_interval
from mobilenet_chest.config.metrics import SITE_SCORES
from mobilenet_chest.evaluation.sites import of_site, site_intervals
from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import MISSING, Cell, Element, Paragraph, Table
from mobilenet_chest.tracking.run_metrics import sites_of

HEADINGS = ("site", "images", "of class 1", "AUC", "AUC with TTA", "accuracy", "sensitivity", "specificity",
            "threshold")  # fmt: skip

TEXT = (
    "Each site's images were predicted by the model that was trained on all other sites, at the threshold that the "
    "others choose. The epoch was chosen on the site itself, so these metrics are a little too good."
)


def sites(run: RunDetails) -> list[Element]:
    """Return a row for each site that was left out; nothing for a run that left out none."""
    by_name = sites_of(run.run)
    if not by_name:
        return []
    prefixes = list(by_name.values())
    names = {prefix: [f"{prefix}_{score}" for score in SITE_SCORES] for prefix in prefixes}
    metrics = {name: run.metrics[name] for each in names.values() for name in each if name in run.metrics}
    intervals = site_intervals(run.scored, prefixes, metrics)
    rows = list[list[Cell]]()
    for place, (site, prefix) in enumerate(by_name.items()):
        labels = of_site(run.scored.predictions, place).label
        cells = (with_interval(metrics.get(name), intervals.get(name), 3, MISSING, " to ") for name in names[prefix])
        threshold = number(run.metrics.get(f"{prefix}_threshold"), 2)
        rows.append([site, str(len(labels)), f"{labels.mean():.1%}", *cells, threshold])
    caption = f"Each site left out in turn by {run.name}, with 95% intervals; accuracies and rates with TTA"
    return [Paragraph(TEXT), Table("sites", caption, HEADINGS, rows)]
