"""The result of a promotion or rollback, and the names and tags that both use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mobilenet_chest.config.formats import with_interval
from mobilenet_chest.config.metrics import label
from mobilenet_chest.display import html_table
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.registry.gates import GateResult
from mobilenet_chest.selection.access import Access
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.runs import short_id


@dataclass(frozen=True, repr=False)
class Promotion:
    """The result of a promotion or rollback. The attributes are the keys of ``promote --json``.

    Attributes:
        name: Registered model.
        version: Its version; ``None`` for a dry run.
        alias: The alias, moved if ``promoted``.
        run_id: The promoted run.
        promoted: Whether the alias now points to ``version``.
        reasons: For a dry run, what would happen; otherwise what was done.
        test: Metrics of the sealed test split, by name.
        openings: Every access to the test split for the run's study, or for the run itself without a study.
        intervals: 95% intervals of the test metrics, by name.
        gates: Results of the experiment's gates.
    """

    name: str
    version: str | None
    alias: str
    run_id: str
    promoted: bool
    reasons: list[str] = field(default_factory=list)
    test: dict[str, float] = field(default_factory=dict)
    openings: list[Access] = field(default_factory=list)
    intervals: dict[str, Interval] = field(default_factory=dict)
    gates: list[GateResult] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self._summary}>"

    def _repr_html_(self) -> str:
        rows = [(label(name), with_interval(value, self.intervals.get(name))) for name, value in self.test.items()]
        rows += [(f"gate {gate.gate}", "passed" if gate.passed else "failed") for gate in self.gates]
        note = "; ".join(self.reasons)
        return html_table(self._summary, ("", "value") if rows else (), rows, note)

    @property
    def _summary(self) -> str:
        if not self.promoted:
            return f"{self.name}: not promoted, run {short_id(self.run_id)}"
        return f"{self.alias} of {self.name} is version {self.version}, run {short_id(self.run_id)}"


def check_names(name: str, alias: str) -> None:
    """Refuse a registered model's name, or an alias, that cannot be part of ``models:/NAME@ALIAS``.

    Raises:
        TrackingError: It says what is allowed.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,119}", name):
        raise TrackingError(
            f"--name {name!r}: not a name for a registered model; letters, digits, '_', '.', '-' and spaces are "
            "allowed, at most 120, the first a letter or digit"
        )
    if not re.fullmatch(r"(?![vV]\d+$|latest$)[A-Za-z][A-Za-z0-9_-]{0,99}", alias):
        raise TrackingError(
            f"--alias {alias!r}: not an alias; letters, digits, '_' and '-' are allowed, at most 100, the first a "
            "letter, and neither 'latest' nor 'v1' and the like"
        )


def previous_tag(alias: str) -> str:
    """Return the name of the version tag that holds the version the alias pointed to before."""
    return f"{tags.PREVIOUS_PREFIX}{alias}"
