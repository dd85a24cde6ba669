"""Rows of an epoch, and folds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mobilenet_chest.data.sampling import divide, epoch_rows, hold_out
from mobilenet_chest.errors import DataError

LABELS = torch.tensor([1] * 23 + [0] * 8, dtype=torch.uint8)


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_all_rows_once_in_a_new_order() -> None:
    chance = generator()
    first, second = (epoch_rows(LABELS, "all", 4, chance) for _ in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(31))
    assert first.tolist() != second.tolist()
    assert torch.equal(first, torch.randperm(31, generator=generator()))


def test_oversampling_shows_the_smaller_class_as_often() -> None:
    rows = epoch_rows(LABELS, "oversample", 4, generator())
    shown = torch.bincount(rows, minlength=31)
    assert len(rows) == 46
    assert torch.equal(shown[:23], torch.ones(23, dtype=torch.int64))
    assert sorted(shown[23:].tolist()) == [2, 3, 3, 3, 3, 3, 3, 3]


@pytest.mark.parametrize("batch_size", [2, 6, 7])
def test_balanced_batches(batch_size: int) -> None:
    rows = epoch_rows(LABELS, "balanced", batch_size, generator())
    assert len(rows) == 31
    for batch in rows.split(batch_size):
        positive = int(LABELS[batch].sum())
        assert abs(2 * positive - len(batch)) <= 1
    shown = torch.bincount(rows, minlength=31)
    assert shown[:23].max() == 1
    assert set(shown[23:].tolist()) <= {1, 2}
    assert not torch.equal(rows, epoch_rows(LABELS, "balanced", batch_size, generator(2)))


def test_classes_do_not_alternate_within_balanced_batches() -> None:
    labels = LABELS[epoch_rows(LABELS, "balanced", 16, generator())][:16].tolist()
    assert any(a == b for a, b in itertools.pairwise(labels))


def test_folds_are_stratified_and_cover_everything_once() -> None:
    labels = LABELS.numpy()
    folds = [divide(labels, None, 4, fold, "x") for fold in range(4)]
    assert np.array_equal(np.sum(folds, axis=0), np.ones(31))
    assert [int((labels[fold] == 0).sum()) for fold in folds] == [2, 2, 2, 2]
    assert np.array_equal(folds[1], divide(labels, None, 4, 1, "x"))
    assert not np.array_equal(folds[1], divide(labels, None, 4, 1, "x", seed=1))


def test_folds_are_disjoint_by_patient() -> None:
    random = np.random.default_rng(3)
    patients = random.integers(0, 40, 200)
    labels = random.integers(0, 2, 200).astype(np.uint8)
    folds = [divide(labels, patients, 5, fold, "x") for fold in range(5)]
    assert np.array_equal(np.sum(folds, axis=0), np.ones(200))
    for fold in folds:
        assert set(patients[fold]).isdisjoint(patients[~fold])
        assert 0.3 < labels[fold].mean() < 0.7


def test_more_folds_than_rows_or_patients() -> None:
    with pytest.raises(DataError, match=r"^x: data\.folds: 9, .*class 0 .*8 rows .*2 to 8$"):
        divide(LABELS.numpy(), None, 9, 0, "x")
    with pytest.raises(DataError, match=r"^x: data\.folds: 3, .*class 0 .*2 patients"):
        divide(LABELS.numpy(), np.arange(31) // 8, 3, 0, "x")


@pytest.mark.parametrize("count", [4, 7, 12])
def test_rows_are_held_out_by_class_and_by_seed(count: int) -> None:
    labels = LABELS.numpy()
    chosen = [hold_out(labels, None, count, seed, "x") for seed in range(200)]
    assert {int(held_out.sum()) for held_out in chosen} == {count}
    assert {int(labels[held_out].sum()) for held_out in chosen} == {round(count * 23 / 31)}
    assert np.array_equal(chosen[3], hold_out(labels, None, count, 3, "x"))
    assert len({held_out.tobytes() for held_out in chosen}) > 190
    # every row as often as any other of its class: 200 draws, four standard deviations of a binomial
    for label in (0, 1):
        share = np.mean(chosen, axis=0)[labels == label]
        expected = share.mean()
        assert np.abs(share - expected).max() < 4 * np.sqrt(expected * (1 - expected) / 200)


def test_whole_patients_are_held_out() -> None:
    random = np.random.default_rng(3)
    patients = random.integers(0, 40, 200)
    labels = (random.random(200) < 0.7).astype(np.uint8)
    for seed in range(20):
        chosen = hold_out(labels, patients, 50, seed, "x")
        assert set(patients[chosen]).isdisjoint(patients[~chosen])
        assert 45 <= chosen.sum() <= 50
        assert abs(labels[chosen].mean() - labels.mean()) < 0.15


def test_nothing_to_hold_out() -> None:
    with pytest.raises(DataError, match=r"^x: data\.split_seed: 1, .*1 of 31 rows"):
        hold_out(LABELS.numpy(), None, 1, 1, "x")
    with pytest.raises(DataError, match=r"^x: data\.split_seed: 1, .*4 of 31 rows .*patient"):
        hold_out(LABELS.numpy(), np.arange(31) // 8, 4, 1, "x")  # four patients, each of more rows than that
