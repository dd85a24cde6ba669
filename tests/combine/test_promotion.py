"""What several trainings were made into goes into the registry like any run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mobilenet_chest.combine.distill import distill
from mobilenet_chest.combine.ensemble import fold_ensemble, seed_ensemble
from mobilenet_chest.combine.members import train_members
from mobilenet_chest.combine.soup import soup
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.tracking.runs import Candidate

Make = Callable[..., Config]


def _soup(config: Config) -> str:
    parts = train_members([with_values(config, {"stage2.lr": lr}) for lr in (1e-4, 2e-4)])
    return soup([Candidate(part.run) for part in parts]).run_id


KINDS: dict[str, tuple[Callable[[Config], str], int]] = {
    # how to make one, and how many rows of predictions it has that the registered model can be held against
    "seeds": (lambda config: seed_ensemble(config, 2).run_id, 34),
    "folds": (lambda config: fold_ensemble(config, 2).run_id, 34),
    "soup": (_soup, 17),
    "student": (lambda config: distill(config, seed_ensemble(config, 2).run_id).run_id, 34),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_promotion(kind: str, tiny: Make, tracking: Path) -> None:
    make, compared = KINDS[kind]
    run_id = make(tiny({"evaluation": {"metric": "val_loss"}}))
    promotion = promote(run_id)
    assert promotion.promoted
    assert promotion.run_id == run_id
    assert f"equal the run's on {compared} validation images" in promotion.reasons[0]
    assert promotion.test["test_auc"] > 0
