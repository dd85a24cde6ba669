"""Divide pictures into train, val and test: stratified by class, a patient on one side only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.data.npz import SPLITS
from mobilenet_chest.errors import DataError

SHARES = (70, 15, 15)
"""Percent of the rows in train, val and test, for a source without splits."""


def divide(
    labels: NDArray[np.int64],
    given: Sequence[str | None],
    units: NDArray[np.int64],
    seed: int,
    percent: tuple[int, int, int] = SHARES,
) -> tuple[list[str], str]:
    """Return the split of each row, and a sentence on how it came about.

    A source without splits is divided by ``percent``. Where it has some, val or test that is missing is taken from
    its train rows, as large as its share of all rows.

    Args:
        labels: (n,), classes from 0.
        given: The split of each row where the source says it; for all rows or for none.
        units: (n,), rows of the same unit stay together: those of a patient, and equal pictures.
        seed: Of the shuffle.
        percent: Of train, val and test.

    Raises:
        DataError: Some rows have a split and others have none; or there is no train split.
    """
    present = {split for split in given if split is not None}
    if None in given and present:
        count = sum(split is None for split in given)
        raise DataError(f"{count} of {len(given)} rows have no split; give every row one, or remove the splits")
    if present == set(SPLITS):
        return [str(split) for split in given], "as the source has them"
    if present and "train" not in present:
        raise DataError(f"the source has {' and '.join(sorted(present))}, but no train; add it, or remove the splits")
    of_all = {split: share / 100 for split, share in zip(SPLITS, percent, strict=True)}
    shares = {split: share for split, share in of_all.items() if split not in present or split == "train"}
    free = np.array([split in (None, "train") for split in given])
    wanted = {split: share * len(labels) for split, share in shares.items()}
    wanted["train"] = free.sum() - sum(count for split, count in wanted.items() if split != "train")
    if wanted["train"] <= 0:
        raise DataError(f"{int(free.sum())} train rows are too few to take {' and '.join(shares)} from them")
    result = [str(split) for split in given]
    assigned = _assign(labels[free], units[free], {split: count / free.sum() for split, count in wanted.items()}, seed)
    for row, split in zip(np.flatnonzero(free), assigned, strict=True):
        result[row] = split
    if not present:
        parts = ", ".join(f"{split} {share:.0%}" for split, share in of_all.items())
        return result, f"divided by seed {seed}, stratified by class: {parts}"
    made = " and ".join(split for split in SPLITS if split not in present)
    return result, f"as the source has them; {made} taken from its train rows by seed {seed}, stratified by class"


def _assign(
    labels: NDArray[np.int64], units: NDArray[np.int64], shares: dict[str, float], seed: int
) -> list[str]:  # fmt: skip
    """Give whole units in random order, each to the split that lacks most of its class.

    A unit with rows of several classes counts with the rarest of them.
    """
    size = np.bincount(labels)
    rows: dict[int, list[int]] = {}
    for row, unit in enumerate(units):
        rows.setdefault(int(unit), []).append(row)
    of_class: dict[int, list[int]] = {}
    for unit, members in rows.items():
        rarest = min({int(labels[row]) for row in members}, key=lambda label: (size[label], label))
        of_class.setdefault(rarest, []).append(unit)
    chance = np.random.default_rng(seed)
    split_of: dict[int, str] = {}
    for label in sorted(of_class, key=lambda label: (size[label], label)):
        members_of = of_class[label]
        total = sum(len(rows[unit]) for unit in members_of)
        have = dict.fromkeys(shares, 0)
        # large units first: the small ones that follow even out what they leave
        order = sorted(chance.permutation(len(members_of)), key=lambda place: -len(rows[members_of[place]]))
        for place in order:
            unit = members_of[place]
            split = max(shares, key=lambda name: shares[name] * total - have[name])
            split_of[unit] = split
            have[split] += len(rows[unit])
    return [split_of[int(unit)] for unit in units]


def check_patients(patients: Sequence[str | None], splits: Sequence[str], names: Sequence[str]) -> None:
    """Check that no patient has rows in two splits.

    Raises:
        DataError: One has; the line names files, not the patient.
    """
    first: dict[str, int] = {}
    wrong: dict[str, tuple[int, int]] = {}
    for row, patient in enumerate(patients):
        if patient is not None and splits[first.setdefault(patient, row)] != splits[row]:
            wrong.setdefault(patient, (first[patient], row))
    if wrong:
        one, other = next(iter(wrong.values()))
        raise DataError(
            f"patients in two splits: {len(wrong)}, such as the one of {names[one]} ({splits[one]}) and {names[other]} "
            f"({splits[other]}); correct the splits, or remove them and the import divides by patient"
        )


def check_classes(labels: NDArray[np.int64], splits: Sequence[str], classes: Sequence[str]) -> None:
    """Check that each split has rows of each class.

    Raises:
        DataError: One lacks a class.
    """
    counts = Counter(zip(splits, labels.tolist(), strict=True))
    for split in SPLITS:
        for label, name in enumerate(classes):
            if not counts[split, label]:
                total = int((labels == label).sum())
                raise DataError(
                    f"the split {split} would have no row of class '{name}', which has {total} usable rows; add "
                    "pictures of it (and patients), or choose the splits yourself in folders or a table"
                )
