"""The benchmark of stacked heads compares two ways to the same heads."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch


@pytest.mark.parametrize("hidden", [(), (8,), (16, 8)])
def test_both_ways_end_with_the_same_probabilities(script: ModuleType, hidden: tuple[int, ...]) -> None:
    """Not with the same weights: AdamW divides by tiny gradients, and makes their rounding larger."""
    alone, together, before = (script.new_heads(hidden, 3, dropout=0.0) for _ in range(3))
    script.one_by_one(alone, epochs=2)
    script.stacked(together, epochs=2)
    features, _ = script.rows()
    with torch.no_grad():
        single, stacked, untrained = (
            torch.stack([head(features).sigmoid() for head in heads]) for heads in (alone, together, before)
        )
    assert (single - stacked).abs().max() < 1e-5
    assert (single - untrained).abs().max() > 0.01
