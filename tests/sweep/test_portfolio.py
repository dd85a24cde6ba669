"""Configurations that were good together: which are chosen, and what of them the new space has."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.studies import LR, Make, summary

from mobilenet_chest.sweep.portfolio import Member, portfolio, rank_shares, within

LOW, MIDDLE, HIGH = 1e-5, 3e-4, 1e-2


def test_the_first_is_good_in_all_studies_and_not_the_best_of_one(phantom_config: Make) -> None:
    """Each study has its best at an end where the other one fails; both do well in the middle."""
    search = phantom_config({"search": LR}).search
    bad = {7e-3: 0.3, 8e-3: 0.2, 9e-3: 0.1, HIGH: 0.0}
    values = {LOW: 0.95, 1e-4: 0.92, MIDDLE: 0.9} | bad
    first, second = summary("a", values), summary("b", {1e-7 / lr: auc for lr, auc in values.items()})
    chosen = portfolio(search, [first, second])
    assert chosen[0].values["stage2.lr"] == pytest.approx(MIDDLE, rel=0.2)
    later = sorted(member.values["stage2.lr"] for member in chosen[1:])
    assert later[0] <= 1e-4  # then each study gets its own
    assert later[-1] >= 1e-3
    assert all(type(member) is Member for member in chosen)
    origin = {(member.study, member.trial) for member in chosen}
    assert origin <= {("a", n) for n in range(7)} | {("b", n) for n in range(7)}
    assert len(portfolio(search, [first, second], most=1)) == 1


def test_what_adds_nothing_is_not_chosen(phantom_config: Make) -> None:
    search = phantom_config({"search": LR}).search
    (only,) = portfolio(search, [summary("a", {LOW: 0.5, HIGH: 0.9})])
    assert only == Member({"stage2.lr": HIGH}, "a", 1)
    assert portfolio(search, []) == []


def test_ranks_make_studies_of_other_metrics_comparable() -> None:
    values = {1e-5: 0.6, 1e-4: 0.9, 1e-3: None, 1e-2: 0.6}
    assert [rank for _, rank in rank_shares(summary("a", values))] == [0.5, 1.0, 0.0, 0.5]
    falling = summary("a", values, metric="val_loss", direction="minimize")
    assert [rank for _, rank in rank_shares(falling)] == [pytest.approx(5 / 6), pytest.approx(1 / 3), 0.0,
                                                          pytest.approx(5 / 6)]  # fmt: skip
    assert [rank for _, rank in rank_shares(summary("a", {1e-3: 0.6}))] == [0.5]


def test_a_trial_that_violates_a_constraint_is_as_bad_as_the_worst(phantom_config: Make) -> None:
    fields = summary("a", {LOW: 0.99, HIGH: 0.9}).model_dump()
    fields["trials"][0]["feasible"] = False
    study = type(summary("a", {LOW: 0.1})).model_validate(fields)
    assert [rank for _, rank in rank_shares(study)] == [0.0, 1.0]
    (only,) = portfolio(phantom_config({"search": LR}).search, [study])
    assert only.trial == 1


def test_values_outside_are_left_out_and_never_clipped(phantom_config: Make) -> None:
    search: dict[str, Any] = {
        "stage2.lr": {"low": 1e-4, "high": 1e-3, "log": True},
        "loss.name": {"choices": ["bce", "focal"]},
        "loss.focal_gamma": {"low": 1.0, "high": 3.0, "when": {"loss.name": "focal"}},
        "model.hidden": {"choices": [[64], []]},
    }
    space = phantom_config({"search": search}).search
    old = {
        "stage2.lr": 1e-2,
        "loss.name": "focal",
        "loss.focal_gamma": 2.0,
        "model.hidden": (64,),
        "model.dropout": 0.5,
    }
    assert within(space, old) == {"loss.name": "focal", "loss.focal_gamma": 2.0, "model.hidden": "[64]"}
    assert within(space, old | {"loss.name": "mse"}) == {"model.hidden": "[64]"}  # and what depends on it
    assert within(space, {"stage2.lr": 5e-4, "model.hidden": (32,)}) == {"stage2.lr": 5e-4}
    assert (
        portfolio(space, [summary("a", {1e-2: 0.9, 2e-2: 0.8}, search={"stage2.lr": {"low": 1e-2, "high": 1}})]) == []
    )


def test_choices_are_near_or_not(phantom_config: Make) -> None:
    stems = {"model.stem": {"choices": ["mean", "sum"]}}
    search = phantom_config({"search": stems}).search
    studies = [summary(n, {"mean": 0.7, "sum": 0.8}, "model.stem", stems) for n in "ab"]  # type: ignore[dict-item]
    assert portfolio(search, studies)[0].values == {"model.stem": "sum"}
