"""An audit of data: duplicates, patients in two splits, shifts between splits, damaged images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data import audit_findings
from mobilenet_chest.data.audit_findings import AuditFinding, Image, Near, Shared, Shift
from mobilenet_chest.data.audit_scan import Scan, scan_split
from mobilenet_chest.data.columns import Values, read_patients
from mobilenet_chest.data.data_file import open_file
from mobilenet_chest.data.duplicates import MOST_PAIRS, NEAR, equal_groups, near_pairs
from mobilenet_chest.data.task import find_task
from mobilenet_chest.errors import DataError


@dataclass(frozen=True)
class Audit:
    """What an audit found in the rows of an experiment's two classes, in the splits as the file has them.

    Attributes:
        source: The file, or the dataset's name.
        counts: Number of rows by split and class name.
        brightness: Mean of all gray values of each split, 0 to 255.
        contrast: Standard deviation of an image's gray values, averaged over each split.
        exact: Groups of two or more images with the same pixels.
        near: Pairs with a correlation of ``NEAR`` or more, but other pixels.
        shared: Patients in two splits; ``None`` where the file does not name patients.
        shifts: All tests made, significant or not.
        damaged: What is wrong (``blank``, ``cut off``, ``saturated``), and with which image.
        findings: In sentences, the serious ones first.
    """

    source: str
    counts: dict[str, dict[str, int]]
    brightness: dict[str, float]
    contrast: dict[str, float]
    exact: list[list[Image]]
    near: list[Near]
    shared: list[Shared] | None
    shifts: list[Shift]
    damaged: list[tuple[str, Image]]
    findings: list[AuditFinding]

    def as_dict(self) -> dict[str, Any]:
        """Return the audit as JSON types: an image is ``{"split", "row", "label"}``; findings come without images."""
        return {
            "source": self.source,
            "splits": {
                split: {"rows": rows, "brightness": self.brightness[split], "contrast": self.contrast[split]}
                for split, rows in self.counts.items()
            },
            "exact_copies": [[asdict(image) for image in group] for group in self.exact],
            "near_copies": [asdict(pair) for pair in self.near],
            "near_from": NEAR,
            "patients_shared": None if self.shared is None else [asdict(shared) for shared in self.shared],
            "shifts": [asdict(shift) for shift in self.shifts],
            "damaged": [{"what": what, **asdict(image)} for what, image in self.damaged],
            "findings": [{"severity": finding.severity, "text": finding.text} for finding in self.findings],
        }


def audit(config: DataConfig, test: bool = False, table: Path | None = None) -> Audit:
    """Audit the rows of an experiment's two classes, in the splits as the file has them, whatever ``folds`` says.

    Args:
        config: The data.
        test: Audit the sealed test split, too. No model sees it. The audit says which of its rows are duplicates or
            damaged, whose they are and how many, and tests for shifts; it gives no score.
        table: A CSV with the patient of each row, as :func:`~mobilenet_chest.data.columns.read_patients` takes it.

    Raises:
        DataError: The file is missing, damaged or of another layout, a class name is wrong, a split has no rows, or
            the table has other columns or rows than it must have.
    """
    file = open_file(config)
    task = find_task(config, lambda: file)
    classes = task.classes
    splits = ["train", "val", *(["test"] if test and "test" in file.splits else [])]
    images: list[Image] = []
    scans: dict[str, Scan] = {}
    targets: dict[str, NDArray[np.uint8]] = {}
    patients = read_patients(file, splits, table)
    for split in splits:
        rows, targets[split] = task.select(file.labels(split))
        if not len(rows):
            raise DataError(f"{file.name}: no row of '{split}' is of {' or '.join(classes)}; choose other data.classes")
        scans[split] = scan_split(file, split, rows)
        images += [Image(split, row, classes[label]) for row, label in zip(rows.tolist(), targets[split], strict=True)]
        if split in patients:
            patients[split] = patients[split][rows]
    counts = {
        split: {name: int((target == label).sum()) for label, name in enumerate(classes)}
        for split, target in targets.items()
    }
    damage = [scans[split].damage.get(position) for split in splits for position in range(len(targets[split]))]
    damaged = [(what, image) for what, image in zip(damage, images, strict=True) if what is not None]
    exact, near, cut_short = _duplicates(list(scans.values()), images, [what != "blank" for what in damage])
    shared = _shared(patients) if len(patients) > 1 else None
    shifts = [shift for pair in combinations(splits, 2) for shift in _shifts(pair, scans, counts)]
    return Audit(
        source=str(config.path or config.title),
        counts=counts,
        brightness={split: float(scan.brightness.mean()) for split, scan in scans.items()},
        contrast={split: float(scan.contrast.mean()) for split, scan in scans.items()},
        exact=exact,
        near=near,
        shared=shared,
        shifts=shifts,
        damaged=damaged,
        findings=audit_findings.by_severity(
            [
                *audit_findings.of_exact(exact, splits),
                *audit_findings.of_near(near, splits, cut_short),
                *audit_findings.of_patients(shared, [split for split in splits if split not in patients]),
                *audit_findings.of_shifts(shifts, counts),
                *audit_findings.of_damage(damaged),
            ]
        ),
    )


def _duplicates(
    scans: list[Scan], images: list[Image], visible: list[bool]
) -> tuple[list[list[Image]], list[Near], bool]:
    """Return groups of equal images, near pairs, and whether there are more of these than were searched for."""
    groups = equal_groups([fingerprint for scan in scans for fingerprint in scan.fingerprints])
    # one image represents its group in the search for pairs: a thousand equal ones would make half a million pairs
    members = {group[0]: group for group in groups}
    others = {position for group in groups for position in group[1:]}
    searched = np.array([n for n, seen in enumerate(visible) if seen and n not in others], np.int64)
    pairs, correlations = near_pairs(np.concatenate([scan.thumbs for scan in scans])[searched])
    near = [
        Near(images[min(a, b)], images[max(a, b)], float(correlation))
        for (first, second), correlation in zip(searched[pairs].tolist(), correlations, strict=True)
        for a in members.get(first, [first])
        for b in members.get(second, [second])
    ]
    return [[images[position] for position in group] for group in groups], near, len(pairs) == MOST_PAIRS


def _shared(patients: dict[str, Values]) -> list[Shared]:
    """Return one entry for each two splits that have patients in common."""
    shared = []
    for first, second in combinations(patients, 2):
        both = np.setdiff1d(np.intersect1d(patients[first], patients[second]), "")
        if len(both):
            in_first, in_second = (int(np.isin(patients[split], both).sum()) for split in (first, second))
            shared.append(Shared((first, second), len(both), (in_first, in_second)))
    return shared


def _shifts(pair: tuple[str, str], scans: dict[str, Scan], counts: dict[str, dict[str, int]]) -> list[Shift]:
    from scipy.stats import chi2_contingency, ks_2samp

    table = np.array([list(counts[split].values()) for split in pair])
    shifts = []
    if table.any(axis=0).all():  # else both splits have one class only, the same
        test = chi2_contingency(table, correction=False)
        shifts.append(Shift("labels", pair, float(test.statistic), float(test.pvalue)))
    for what in ("brightness", "contrast"):
        test = ks_2samp(*(getattr(scans[split], what) for split in pair))
        shifts.append(Shift(what, pair, float(test.statistic), float(test.pvalue)))
    return shifts
