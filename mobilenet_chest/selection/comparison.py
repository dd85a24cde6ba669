"""A comparison as Python and notebooks show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mobilenet_chest.config.formats import signed, with_interval
from mobilenet_chest.config.metrics import heading
from mobilenet_chest.display import html_table
from mobilenet_chest.selection.rows import Row
from mobilenet_chest.tracking.runs import short_id

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("val_auc", "val_accuracy_crossfit")
"""Metrics with columns of their own."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Runs and studies side by side.

    Attributes:
        rows: A row for each, the best first; with a baseline, that is the first.
        metric: The further metric that was asked for.
    """

    rows: tuple[Row, ...]
    metric: str | None = None

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with a row for each run, indexed by the run's name.

        Columns: ``run_id``, ``kind``, ``model``, ``parameters``, ``dataset``, ``best``, ``tied`` and every metric; of
        a metric with an interval also ``<metric>_low`` and ``<metric>_high``; against a baseline
        ``<metric>_difference``, its ends, ``<metric>_p`` (Holm-corrected) and ``<metric>_verdict``.
        """
        import pandas as pd

        table = pd.DataFrame([_cells(row) for row in self.rows], columns=None if self.rows else ["name"])
        return table.set_index("name")

    def __repr__(self) -> str:
        lines = [", ".join(f"{key} {value}" for key, value in zip(*self._table(row), strict=True) if value)
                 for row in self.rows]  # fmt: skip
        return "\n".join([f"Comparison of {len(self.rows)} rows", *(f"  {line}" for line in lines)])

    def _repr_html_(self) -> str:
        note = "In brackets: 95% intervals." if any(row.intervals for row in self.rows) else ""
        headings = self._table(self.rows[0])[0] if self.rows else []
        return html_table(f"{len(self.rows)} runs", headings, [self._table(row)[1] for row in self.rows], note)

    def _table(self, row: Row) -> tuple[list[str], list[str]]:
        """Return headings and cells of a row, as they are shown."""
        metrics = list(dict.fromkeys([*([self.metric] if self.metric else []), *SHOWN]))
        cells = {"name": row.name, "kind": row.kind, "model": row.model}
        cells |= {heading(name): with_interval(row.metrics.get(name), row.intervals.get(name)) for name in metrics}
        if any(other.differences for other in self.rows):
            for name in metrics:
                found = row.differences.get(name)
                ends = "" if found is None else f" ({signed(found.low)} to {signed(found.high)}), {found.verdict}"
                cells[f"Δ {heading(name)}"] = "" if found is None else f"{signed(found.value)}{ends}"
        cells[""] = "best" if row.best else "tied" if row.tied else ""
        cells["run"] = short_id(row.run_id)
        return list(cells), list(cells.values())


def _cells(row: Row) -> dict[str, Any]:
    """Return the cells of a row of the table for pandas, by column."""
    cells: dict[str, Any] = {
        name: getattr(row, name)
        for name in ("name", "run_id", "kind", "model", "parameters", "dataset", "best", "tied")
    }
    for name, value in row.metrics.items():
        cells[name] = value
        if (interval := row.intervals.get(name)) is not None:
            cells |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    for name, found in row.differences.items():
        cells[f"{name}_difference"] = found.value
        cells |= {f"{name}_difference_low": found.low, f"{name}_difference_high": found.high}
        cells |= {f"{name}_p": found.p_holm, f"{name}_verdict": found.verdict}
    return cells
