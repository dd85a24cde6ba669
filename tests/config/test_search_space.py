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
        ("{lr: {low: 1, high: 2}}", "search.lr: no such field to search; did you mean 'stage1.lr' or 'stage2.lr'?"),
        ("{model.lr: {low: 1, high: 2}}", "did you mean 'stage1.lr' or 'stage2.lr'?"),
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
        ("{optimizer.batch_size: {low: 8.5, high: 16}}", "optimizer.batch_size: low 8.5 is not a whole number"),
        ("{stage2.patience: {low: 8, high: 16.5}}", "stage2.patience: high 16.5 is not a whole number"),
        ("{optimizer.batch_size: {low: 8, high: 16, step: 2.5}}", "step 2.5 is not a whole number"),
        ("{stage2.unfreeze_from: {low: 0, high: 4, step: 0.5}}", "write step: 1"),
        ("{optimizer.batch_size: {choices: [010, 16]}}", "batch_size: must be a plain decimal number"),
        ("{data.source_size: {low: 28, high: 224}}", "data.source_size"),
        ("{stage2.lr: {low: 1e-5, high: 1e-2, log: true, prior: 0.1}}", "search.stage2.lr: prior 0.1 is outside"),
        ("{stage2.patience: {low: 2, high: 9, prior: 2.5}}", "search.stage2.patience: prior 2.5 is not a whole number"),
        ("{model.stem: {choices: [mean, sum], prior: men}}", "prior 'men' is no choice; allowed: ['mean', 'sum']"),
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


@pytest.mark.parametrize("value", ["1e-3", "0.001", "'1e-3'", '"0.0010"'])
@pytest.mark.parametrize("choice", ["1e-3", "'0.001'"])
def test_a_condition_is_compared_as_its_field_holds_it(loaded: Loaded, value: str, choice: str) -> None:
    search = loaded(
        f"name: x\nsearch: {{stage2.lr: {{choices: [{choice}, 1.0]}}, "
        f"model.dropout: {{low: 0.1, high: 0.2, when: {{stage2.lr: {value}}}}}}}\n"
    ).search
    assert search["model.dropout"].when == {"stage2.lr": 0.001}
    assert list(active(search, {"stage2.lr": 0.001})) == ["stage2.lr", "model.dropout"]


@pytest.mark.parametrize(
    ("parent", "choices", "value", "held"),
    [
        ("data.drop_duplicates", "[yes, no]", "on", True),
        ("model.hidden", "[[16], []]", "[16.0]", (16,)),
        ("stage2.unfreeze_from", "[0, 3]", "3", (3,)),
        ("loss.pos_weight", "[null, auto]", "null", None),
    ],
)
def test_conditions_of_other_types(loaded: Loaded, parent: str, choices: str, value: str, held: object) -> None:
    search = loaded(
        f"name: x\nsearch: {{{parent}: {{choices: {choices}}}, "
        f"model.dropout: {{low: 0.1, high: 0.2, when: {{{parent}: {value}}}}}}}\n"
    ).search
    assert search["model.dropout"].when == {parent: held}
    assert list(active(search, {parent: held})) == [parent, "model.dropout"]


def test_a_prior_takes_the_type_of_its_field(loaded: Loaded) -> None:
    search = loaded(
        "name: x\nsearch: {stage2.lr: {choices: [1e-4, 1e-3], prior: '0.001'}, "
        "stage2.unfreeze_from: {choices: [0, [9, 3]], prior: 0}, model.dropout: {low: 0.1, high: 0.5, prior: 0.2}}\n"
    ).search
    priors = {path: distribution.prior for path, distribution in search.items()}
    assert priors == {"stage2.lr": 0.001, "stage2.unfreeze_from": (0,), "model.dropout": 0.2}


def test_a_grid_follows_no_prior(problems: Problems) -> None:
    (line,) = problems("name: x\nsearch: {model.stem: {choices: [mean, sum], prior: sum}}\nstudy: {sampler: grid}\n")
    assert "search.model.stem: sampler grid tries every combination once" in line
