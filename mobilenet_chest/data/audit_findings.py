"""The findings of an audit: what it can find, and the sentences about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from mobilenet_chest.data.duplicates import NEAR

Severity = Literal["serious", "notable", "note"]

SHIFT_P = 0.001
"""Two splits are reported to differ where p is lower. The nine tests of three splits then report a difference by chance
in one audit of a hundred."""


@dataclass(frozen=True)
class Image:
    """A row of a split; ``label`` is the name of its class."""

    split: str
    row: int
    label: str

    def __str__(self) -> str:
        return f"{self.split} {self.row} ({self.label})"


@dataclass(frozen=True)
class Near:
    """Two nearly equal images, and the correlation of their thumbnails."""

    first: Image
    second: Image
    correlation: float

    def __str__(self) -> str:
        return f"{self.first} ~ {self.second}, correlation {self.correlation:.4f}"


@dataclass(frozen=True)
class Shared:
    """How many patients are in both of two splits, and how many rows of each split show them."""

    splits: tuple[str, str]
    patients: int
    rows: tuple[int, int]


@dataclass(frozen=True)
class Shift:
    """A test of whether two splits have the same distribution.

    ``labels`` are compared by Pearson's chi-square test, without continuity correction. ``brightness`` and
    ``contrast``, the mean and standard deviation of an image's gray values, are compared by the Kolmogorov-Smirnov
    test, whose statistic is the largest distance between the two distribution functions.
    """

    what: Literal["labels", "brightness", "contrast"]
    splits: tuple[str, str]
    statistic: float
    p: float


@dataclass(frozen=True)
class AuditFinding:
    """A finding in a sentence, with the images that it is about as text."""

    severity: Severity
    text: str
    images: tuple[str, ...] = ()


def by_severity(findings: Iterable[AuditFinding]) -> list[AuditFinding]:
    """Return the findings, the serious ones first, otherwise in the given order."""
    order: dict[Severity, int] = {"serious": 0, "notable": 1, "note": 2}
    return sorted(findings, key=lambda finding: order[finding.severity])


def of_exact(groups: Sequence[Sequence[Image]], splits: Sequence[str]) -> Iterable[AuditFinding]:
    """Yield findings about equal images: between splits, with both labels, and within splits."""
    for first, second in combinations(splits, 2):
        both = [group for group in groups if {first, second} <= {image.split for image in group}]
        if both:
            in_first, in_second = (
                sum(image.split == split for group in both for image in group) for split in (first, second)
            )
            text = f"{_of(in_second, 'image')} of {second} {_is(in_second)} in {first} as well, pixel for pixel"
            yield AuditFinding("serious", f"{text} ({_of(in_first, 'row')} there)", _each(both))
    differing = [group for group in groups if len({image.label for image in group}) > 1]
    if differing:
        yield AuditFinding("serious", f"{_of(len(differing), 'image')} with both labels", _each(differing))
    for split in splits:
        within = [[image for image in group if image.split == split] for group in groups]
        repeated = [group for group in within if len(group) > 1]
        if repeated:
            again = sum(len(group) - 1 for group in repeated)
            yield AuditFinding(
                "notable", f"{_of(again, 'row')} of {split} {_repeats(again)} an earlier one", _each(repeated)
            )
    if dropped := sum(map(_dropped, groups)):
        yield AuditFinding("note", f"data.drop_duplicates=true leaves {_of(dropped, 'row')} of train out")


def of_near(pairs: Sequence[Near], splits: Sequence[str], cut_short: bool) -> Iterable[AuditFinding]:
    """Yield findings about nearly equal images; ``cut_short`` says that there may be more pairs."""
    for first, second in combinations(splits, 2):
        both = [pair for pair in pairs if (pair.first.split, pair.second.split) == (first, second)]
        if both:
            count = len({pair.second for pair in both})
            text = f"{_of(count, 'image')} of {second} {_is(count)} nearly one of {first} (correlation {NEAR} or more)"
            yield AuditFinding("serious", text, tuple(map(str, both)))
    for split in splits:
        within = [pair for pair in pairs if pair.first.split == pair.second.split == split]
        if within:
            text = f"{_of(len(within), 'pair')} of nearly equal images in {split} (correlation {NEAR} or more)"
            yield AuditFinding("notable", text, tuple(map(str, within)))
    if cut_short:
        yield AuditFinding("note", f"the search for nearly equal images ended at {len(pairs)} pairs; there are more")


def of_patients(shared: Sequence[Shared] | None, unknown: Sequence[str]) -> Iterable[AuditFinding]:
    """Yield findings about patients in two splits; ``unknown`` are the splits without patients."""
    for overlap in shared or []:
        first, second = overlap.splits
        text = f"{_of(overlap.patients, 'patient')} {_is(overlap.patients)} in {first} and in {second}"
        yield AuditFinding("serious", f"{text} ({overlap.rows[0]} and {overlap.rows[1]} rows)")
    if unknown:
        keys = ", ".join(f"{split}_patient" for split in unknown)
        text = f"the file does not name the patients (no {keys}): a patient may be in two splits"
        yield AuditFinding("note", text)


def of_shifts(shifts: Sequence[Shift], counts: Mapping[str, Mapping[str, int]]) -> Iterable[AuditFinding]:
    """Yield findings about splits that differ by more than chance explains."""
    for shift in shifts:
        if shift.p >= SHIFT_P:
            continue
        pair = " and ".join(shift.splits)
        if shift.what == "labels":
            name = list(counts[shift.splits[0]])[1]
            shares = " and ".join(f"{counts[s][name] / sum(counts[s].values()):.1%}" for s in shift.splits)
            yield AuditFinding(
                "notable", f"{pair} differ in labels: {shares} {name} (chi-square {shift.statistic:.1f}, {_p(shift.p)})"
            )
        else:
            distance = f"Kolmogorov–Smirnov {shift.statistic:.3f}, {_p(shift.p)}"
            yield AuditFinding("notable", f"{pair} differ in {shift.what} ({distance})")


def of_damage(damaged: Sequence[tuple[str, Image]]) -> Iterable[AuditFinding]:
    """Yield findings about damaged images."""
    meaning = {
        "blank": "of one gray value, or nearly",
        "cut off": "cut off: the lowest quarter is of one value",
        "saturated": "saturated: half of the values or more are 0 or 255",
    }
    for (what, split), count in Counter((what, image.split) for what, image in damaged).items():
        images = tuple(str(image) for kind, image in damaged if (kind, image.split) == (what, split))
        yield AuditFinding("notable", f"{_of(count, 'image')} of {split} {_is(count)} {meaning[what]}", images)


def _of(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _dropped(group: Sequence[Image]) -> int:
    """Return how many rows of train ``data.drop_duplicates`` leaves out."""
    labels = [image.label for image in group if image.split == "train"]
    return len(labels) if any(image.split == "val" for image in group) else len(labels) - len(set(labels))


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _repeats(count: int) -> str:
    return "repeats" if count == 1 else "repeat"


def _each(groups: Iterable[Iterable[Image]]) -> tuple[str, ...]:
    return tuple(" = ".join(map(str, group)) for group in groups)


def _p(p: float) -> str:
    return f"p {p:.2g}" if p >= 1e-99 else "p below 1e-99"
