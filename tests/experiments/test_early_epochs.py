"""The simulation of early pruning and pausing: rules that lose a trial whose curve rises late."""

from __future__ import annotations

from types import ModuleType

import pytest

from mobilenet_chest.sweep.studies_file import read_studies


@pytest.mark.parametrize("rule", ["median", "asha"])
def test_a_late_riser_is_lost_unless_its_first_epoch_is_spared(script: ModuleType, rule: str) -> None:
    early = [script.Trial([0.6 + place / 100, 0.7, 0.7 + place / 100, 0.7 + place / 100], 0.7) for place in range(8)]
    late = script.Trial([0.1, 0.8, 0.9, 0.9], 0.9)
    apply = getattr(script, rule)
    lost, kept = apply([*early, late], 0), apply([*early, late], 1)
    assert lost.lost == pytest.approx(0.2)
    assert kept.lost == 0
    assert 0 < lost.trained <= 1
    assert 0 < kept.trained <= 1


def test_trials_without_a_rule_that_acts_run_through(script: ModuleType) -> None:
    trials = [script.Trial([0.5, 0.6, 0.7], 0.7)] * 3
    assert script.median(trials, 1) == (0, 1)


def test_the_trials_of_the_shipped_studies(script: ModuleType) -> None:
    for study in read_studies(script.STUDIES):
        trials = script.trials_of(study)
        assert len(trials) == 20
        assert {len(trial.scores) for trial in trials} == {study.stage2_epochs} == {3}
        assert [trial.end for trial in trials] == [trial.value for trial in study.trials]
