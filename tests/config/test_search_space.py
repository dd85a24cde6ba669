"""Search spaces: conditions, types of choices, and what cannot be searched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.experiments import CONDITIONAL_SEARCH

from mobilenet_chest.config import Config, active

Problems = Callable[..., tuple[str, ...]]
Loaded = Callable[..., Config]


def test_a_search_with_a_condition(loaded: Loaded) -> None:
    search = loaded(CONDITIONAL_SEARCH).search
    assert list(active(search, {"loss.name": "bce", "stage2.lr": 1e-4})) == ["stage2.lr", "loss.name"]
    assert list(active(search, {"loss.name": "focal"})) == ["stage2.lr", "loss.name", "loss.focal_gamma"]


@pytest.mark.parametrize(
    ("search", "part"),
    [
        ("{stage2.lrr: {low: 1, high: 2}}", "search.stage2.lrr: no such field to search; did you mean 'stage2.lr'?"),
        ("{name: {choices: [a, b]}}", "search.name: no such field to search"),
        ("{study.trials: {low: 1, high: 2}}", "search.study.trials: no such field to search"),
        ("{model.dropout: {low: 0.7, high: 0.3}}", "search.model.dropout: low 0.7 is greater than high 0.3"),
        ("{model.dropout: {low: 0.3}}", "search.model.dropout: a distribution needs low and high, or choices"),
        ("{model.dropout: {low: 0.3, high: 0.7, choices: [0.5]}}", "give either choices, or low and high"),
        ("{model.stem: {choices: [mean, mean]}}", "search.model.stem: choices ['mean', 'mean'] holds a value twice"),
        ("{stage2.lr: {choices: [1e-3, 0.001]}}", "holds a value twice"),
        ("{model.stem: {choices: []}}", "search.model.stem.choices"),
        ("{stage2.lr: {low: 0, high: 1, log: true}}", "log: true needs low above 0, not 0"),
        ("{stage2.lr: {low: 1, high: 2, log: true, step: 0.1}}", "log and step 0.1"),
        ("{model.dropout: {low: 0.5, high: 1.5}}", "model.dropout: must be less than 1, not 1.5"),
        ("{loss.name: {choices: [bce, focl]}}", "loss.name: must be 'bce' or 'focal', not 'focl'"),
        ("{optimizer.batch_size: {low: 8.5, high: 16}}", "optimizer.batch_size: must be a valid integer"),
        ("{data.source_size: {low: 28, high: 224}}", "data.source_size"),
        ("{loss.focal_gamma: {low: 1, high: 3}}", "focal_gamma belongs to name: focal, not to 'bce'"),
        (
            "{loss.name: {choices: [bce, focal]}, loss.focal_gamma: {low: 1, high: 3}}",
            "(loss.name=bce, loss.focal_gamma=1.0)",
        ),
        ("{loss.focal_gamma: {low: 1, high: 3, when: {loss.name: focal}}}", "'loss.name' must itself be searched"),
        (
            "{loss.name: {choices: [bce, focal]}, stage2.lr: {low: 1, high: 3, when: {loss.name: mse}}}",
            "loss.name is never 'mse'; its choices are ['bce', 'focal']",
        ),
        (
            "{loss.name: {choices: [bce, focal]}, model.stem: {choices: [sum, mean], when: {loss.name: bce}}, "
            "model.dropout: {low: 0.1, high: 0.2, when: {model.stem: sum}}}",
            "when: 'model.stem' is itself conditional",
        ),
    ],
)
def test_a_search_that_cannot_be(problems: Problems, experiment: Path, search: str, part: str) -> None:
    (line,) = problems(f"name: x\nsearch: {search}\n")
    assert line.startswith(f"{experiment}: search")
    assert part in line


def test_every_wrong_distribution_is_reported(problems: Problems) -> None:
    result = problems("name: x\nsearch: {a.b: {low: 1, high: 2}, stage2.lrr: {low: 1, high: 2}}\n")
    assert [line.split(": ")[1] for line in result] == ["search.a.b", "search.stage2.lrr"]


def test_choices_take_the_type_of_their_field(loaded: Loaded) -> None:
    search = loaded(
        "name: x\nsearch: {stage2.lr: {choices: [1e-4, 1]}, stage2.patience: {choices: [1.0, 7]}, "
        "model.dropout: {choices: [0, 0.5]}}\n",
    ).search
    assert repr(search["stage2.lr"].choices) == "(0.0001, 1.0)"
    assert repr(search["stage2.patience"].choices) == "(1, 7)"
    assert repr(search["model.dropout"].choices) == "(0.0, 0.5)"
