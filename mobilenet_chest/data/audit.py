"""Whether data are fit for a comparison: copies, patients in two splits, shifts between splits, damaged images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import DataConfig
from mobilenet_chest.data import audit_findings, medmnist
from mobilenet_chest.data.audit_findings import AuditFinding, Image, Near, Shared, Shift
from mobilenet_chest.data.audit_scan import Scan, scan
from mobilenet_chest.data.columns import Values, read_patients
from mobilenet_chest.data.dataset import open_file
from mobilenet_chest.data.duplicates import MOST_PAIRS, NEAR, equal_groups, near_pairs
from mobilenet_chest.errors import DataError


@dataclass(frozen=True)
class Audit:
    """What was found in the rows that an experiment uses, in the splits as the file has them.

    Attributes:
        source: The file, or the dataset's name.
        counts: Rows of each split and class.
        brightness: Of each split, the mean of all gray values, 0 to 255.
        contrast: Of each split, the mean over images of the standard deviation of gray values.
        exact: Images with the same pixels, together: two or more in each list.
        near: Pairs with a correlation of ``NEAR`` or more that do not have the same pixels.
        shared: Patients in two splits; ``None`` where the file does not say whose the images are.
        shifts: Every test that was made, whatever it says.
        damaged: What is wrong (``blank``, ``cut off``, ``saturated``), and with which image.
        findings: All that is worth a sentence, the serious first.
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
        """In JSON's types; images are ``{"split", "row", "label"}``, and findings without theirs."""
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
    """Look at the rows of an experiment's two classes, in the splits as the file has them, whatever ``folds`` says.

    Args:
        config: The data.
        test: Look at the sealed test split, too. No model sees it: what comes out is which rows are copies or
            damaged, whose they are, counts, and tests of shifts; no score.
        table: A CSV that says whose images the rows are: :func:`~mobilenet_chest.data.columns.read_patients`.

    Raises:
        DataError: The file is missing, damaged or of another layout, a class name is wrong, a split has no rows,
            or the table is not such as it must be.
    """
    file, info = open_file(config), medmnist.dataset_info(config.dataset)
    columns, classes = medmnist.class_indices(info, config.classes)
    splits = ["train", "val", *(["test"] if test and "test" in file.splits else [])]
    images: list[Image] = []
    scans: dict[str, Scan] = {}
    targets: dict[str, NDArray[np.uint8]] = {}
    patients = read_patients(file, splits, table)
    for split in splits:
        rows, targets[split] = medmnist.select_rows(file.labels(split), info, columns)
        if not len(rows):
            raise DataError(f"{file.name}: no row of '{split}' is of {' or '.join(classes)}; choose other data.classes")
        scans[split] = scan(file, split, rows)
        images += [Image(split, row, classes[label]) for row, label in zip(rows.tolist(), targets[split], strict=True)]
        if split in patients:
            patients[split] = patients[split][rows]
    counts = {
        split: {name: int((target == label).sum()) for label, name in enumerate(classes)}
        for split, target in targets.items()
    }
    damage = [scans[split].damage.get(position) for split in splits for position in range(len(targets[split]))]
    damaged = [(what, image) for what, image in zip(damage, images, strict=True) if what is not None]
    exact, near, cut_short = _copies(list(scans.values()), images, [what != "blank" for what in damage])
    shared = _shared(patients) if len(patients) > 1 else None
    shifts = [shift for pair in combinations(splits, 2) for shift in _shifts(pair, scans, counts)]
    return Audit(
        source=str(config.path or config.dataset),
        counts=counts,
        brightness={split: float(found.brightness.mean()) for split, found in scans.items()},
        contrast={split: float(found.contrast.mean()) for split, found in scans.items()},
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


def _copies(scans: list[Scan], images: list[Image], visible: list[bool]) -> tuple[list[list[Image]], list[Near], bool]:
    """Exact groups, near pairs, and whether there are more of these."""
    groups = equal_groups([key for found in scans for key in found.prints])
    # one of each group stands for it: a thousand copies would make half a million pairs
    members = {group[0]: group for group in groups}
    others = {position for group in groups for position in group[1:]}
    standing = np.array([n for n, seen in enumerate(visible) if seen and n not in others], np.int64)
    pairs, correlations = near_pairs(np.concatenate([found.thumbs for found in scans])[standing])
    near = [
        Near(images[min(one, other)], images[max(one, other)], float(correlation))
        for (first, second), correlation in zip(standing[pairs].tolist(), correlations, strict=True)
        for one in members.get(first, [first])
        for other in members.get(second, [second])
    ]
    return [[images[position] for position in group] for group in groups], near, len(pairs) == MOST_PAIRS


def _shared(patients: dict[str, Values]) -> list[Shared]:
    """For each two splits that have any in common."""
    found = []
    for first, second in combinations(patients, 2):
        both = np.setdiff1d(np.intersect1d(patients[first], patients[second]), "")
        if len(both):
            in_first, in_second = (int(np.isin(patients[split], both).sum()) for split in (first, second))
            found.append(Shared((first, second), len(both), (in_first, in_second)))
    return found


def _shifts(pair: tuple[str, str], scans: dict[str, Scan], counts: dict[str, dict[str, int]]) -> list[Shift]:
    from scipy.stats import chi2_contingency, ks_2samp

    table = np.array([list(counts[split].values()) for split in pair])
    found = []
    if table.any(axis=0).all():  # else all are of one class, in both
        test = chi2_contingency(table, correction=False)
        found.append(Shift("labels", pair, float(test.statistic), float(test.pvalue)))
    for what in ("brightness", "contrast"):
        test = ks_2samp(*(getattr(scans[split], what) for split in pair))
        found.append(Shift(what, pair, float(test.statistic), float(test.pvalue)))
    return found
