"""Stressed sets of a split: which row gets which copy, and what of the split stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mobilenet_chest.data.corruptions import CHOOSING, HELD_OUT, corrupted
from mobilenet_chest.data.dataset import Split
from mobilenet_chest.data.phantom import generate
from mobilenet_chest.data.stress import cells, stressed


def split(count: int = 30) -> Split:
    images = torch.from_numpy(generate(16, {"train": count, "val": 1, "test": 1})["train_images"])[:, None]
    rows = np.arange(100, 100 + 2 * count, 2)
    patients = np.array([f"p{row}" for row in rows])
    return Split(images, (torch.arange(count) % 2).byte(), rows, "digest", patients, stored=16)


def part(whole: Split, chosen: slice) -> Split:
    fields: dict[str, Any] = {name: getattr(whole, name)[chosen] for name in ("images", "labels", "rows", "patients")}
    return replace(whole, **fields)


def test_a_copy_for_each_row_and_family() -> None:
    whole = split()
    copies = stressed(whole, CHOOSING)
    assert copies.images.shape == (150, 1, 16, 16)
    assert torch.equal(copies.labels, whole.labels.repeat(5))
    assert np.array_equal(copies.rows, np.tile(whole.rows, 5))
    assert copies.patients is not None
    assert copies.patients[31] == "p102"
    assert copies.digest not in (whole.digest, stressed(whole, HELD_OUT).digest)
    (name, severity, places), *_ = [cell for cell in cells("noise", whole.rows) if len(cell[2])]
    expected = corrupted(whole.images[places], whole.rows[places], name, severity, 16)
    assert torch.equal(copies.images[30:60][places], expected)


def test_other_rows_do_not_matter() -> None:
    whole = split()
    some = stressed(part(whole, slice(10, 20)), ("noise", "overlay"))
    everything = stressed(whole, ("noise", "overlay"))
    assert torch.equal(some.images, torch.cat([everything.images[10:20], everything.images[40:50]]))


def test_rows_are_spread_over_corruptions_and_severities() -> None:
    counts = [len(places) for _, _, places in cells("field", np.arange(2000))]
    assert len(counts) == 10
    assert sum(counts) == 2000
    assert min(counts) > 140
