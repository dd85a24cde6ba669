"""Experiment files and overrides: every problem named at once, nothing executed, nothing silently ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilenet_chest.config import (
    MODEL_NAMES,
    Config,
    ConfirmConfig,
    active,
    flatten,
    is_integer_field,
    load,
    parse,
    to_yaml,
    with_values,
)
from mobilenet_chest.errors import ConfigError

SEARCH = """
name: searched
search:
  stage2.lr:        {low: 1.0e-5, high: 1.0e-3, log: true}
  loss.name:        {choices: [bce, focal]}
  loss.focal_gamma: {low: 1.0, high: 3.0, when: {loss.name: focal}}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Path of an experiment file, to be written by the test."""
    return tmp_path / "experiment.yaml"


def problems(path: Path, text: str, *overrides: str) -> tuple[str, ...]:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    assert not any("\n" in line for line in caught.value.problems)
    return caught.value.problems


def loaded(path: Path, text: str, *overrides: str) -> Config:
    path.write_text(text, encoding="utf-8")
    return load(path, overrides)


# --- files ---------------------------------------------------------------------------------------------------------


def test_all_problems_are_reported_together(experiment: Path) -> None:
    found = problems(
        experiment,
        "name: x\nmodle: {}\nstage2: {lrr: 1, lr: -1}\nmodel: {name: mobilnet}\n",
        "optimizer.batch_size=0",
        "stage1.lr=fast",
    )
    assert set(found) == {
        f"{experiment}: model.name: unknown model 'mobilnet'; did you mean 'mobilenet_v2'? "
        f"Allowed: {', '.join(MODEL_NAMES)}, timm:<name>",
        "command line: optimizer.batch_size: input should be greater than or equal to 1, not 0",
        "command line: stage1.lr: input should be a valid number, unable to parse string as a number, not 'fast'",
        f"{experiment}: stage2.lr: input should be greater than 0, not -1",
        f"{experiment}: stage2.lrr: unknown key; did you mean 'lr'? "
        "Allowed: epochs, lr, schedule, warmup_epochs, patience, ema, lr_decay, batchnorm, unfreeze_from, resolutions",
        f"{experiment}: modle: unknown key; did you mean 'model'? Allowed: {', '.join(Config.model_fields)}",
    }


def test_an_unknown_key_of_a_distribution(experiment: Path) -> None:
    assert problems(experiment, "name: x\nsearch: {stage2.lr: {lo: 1, low: 1, high: 2}}\n") == (
        f"{experiment}: search.stage2.lr.lo: unknown key; did you mean 'low'? Allowed: low, high, log, step, choices, "
        "when",
    )


def test_an_unknown_key_of_a_section_that_may_be_null(experiment: Path) -> None:
    assert problems(experiment, "name: x\n", "study.confirm.tops=2") == (
        "command line: study.confirm.tops: unknown key; did you mean 'top'? Allowed: top, seeds",
    )
    assert loaded(experiment, "name: x\n").study.confirm is None
    assert loaded(experiment, "name: x\n", "study.confirm.top=2").study.confirm == ConfirmConfig(top=2, seeds=5)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name: x\nname: y\n", "the key 'name' stands twice"),
        ("name: x\nstage2:\n  lr: 1.0\n  lr: 2.0\n", "the key 'lr' stands twice"),
        ("name: [x\n", "not valid YAML"),
        ("- name\n", "an experiment is a mapping"),
        ("", "an experiment is a mapping"),
        ("seed: 1\n", "name: missing; every experiment needs it"),
        ("name: x\ndata: {classes: [cardiomegaly]}\n", "data.classes: needs one entry more"),
        ("name: x\nstage1:\n", "stage1: input should be a valid dictionary"),
        ("name: x\n1: 2\n", "keys should be strings"),
        ("name: 2024-13-45\n", "not valid YAML"),
        ("name: x\nseed: !!int many\n", "not valid YAML"),
        pytest.param("name: " + "[" * 5000, "not valid YAML", id="nested without end"),
    ],
)
def test_files_that_are_no_experiment(experiment: Path, text: str, part: str) -> None:
    (line,) = problems(experiment, text)
    assert line.startswith(f"{experiment}: ")
    assert part in line


def test_merged_keys_of_yaml(experiment: Path) -> None:
    config = loaded(experiment, "name: x\nstage1: &base {epochs: 7, lr: 2.0e-3}\nstage2: {<<: *base, lr: 5.0e-4}\n")
    assert (config.stage2.epochs, config.stage2.lr) == (7, 5e-4)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such experiment file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "binary.yaml")


@pytest.mark.parametrize("where", ["file", "override"])
def test_no_tag_runs_code(experiment: Path, where: str) -> None:
    canary = experiment.with_name("canary")
    hostile = f"!!python/object/apply:os.system ['touch {canary}']"
    if where == "file":
        (line,) = problems(experiment, f"name: x\nmodel: {hostile}\n")
        assert "could not determine a constructor for the tag" in line
    else:
        (line,) = problems(experiment, "name: x\n", f"model={hostile}")
        assert "not valid YAML" in line
    assert not canary.exists()


# --- overrides -----------------------------------------------------------------------------------------------------


def test_overrides_go_on_top_of_the_file(experiment: Path) -> None:
    config = loaded(
        experiment,
        "name: x\nstage2: {lr: 1.0e-3, epochs: 9}\n",
        "stage2.lr=3e-4",
        "model.hidden=[]",
        "stage2.patience=null",
        "tracking.experiment=other",
        "seed=5",
        "data.classes=[a, b]",
    )
    assert config.stage2.lr == 3e-4
    assert config.stage2.epochs == 9
    assert config.model.hidden == ()
    assert config.stage2.patience is None
    assert config.experiment == "other"
    assert config.seed == 5
    assert config.data.classes == ("a", "b")


def test_a_search_path_keeps_its_dots(experiment: Path) -> None:
    config = loaded(
        experiment,
        "name: x\nsearch: {seed: {low: 1, high: 3}}\n",
        "search.stage2.lr={low: 1e-5, high: 1e-3, log: true}",
        "search.seed={choices: [4, 5]}",
    )
    assert list(config.search) == ["seed", "stage2.lr"]
    assert config.search["seed"].choices == (4, 5)
    assert (config.search["stage2.lr"].low, config.search["stage2.lr"].high) == (1e-5, 1e-3)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seed", "'seed': an override has the form key=value, for example stage2.lr=3e-4"),
        ("=3", "'=3': an override has the form key=value, for example stage2.lr=3e-4"),
        ("seed=[", "'seed=[': the value is not valid YAML; quote it, for example 'seed=\"…\"'"),
        ("name=2024-13-45", "'name=2024-13-45': the value is not valid YAML; quote it, for example 'name=\"…\"'"),
        ("name.first=3", "'name.first=3': 'name' is not a section; nothing stands below it"),
        ("sede=3", f"command line: sede: unknown key; did you mean 'seed'? Allowed: {', '.join(Config.model_fields)}"),
        ("seed=-1", "command line: seed: input should be greater than or equal to 0, not -1"),
    ],
)
def test_wrong_overrides(experiment: Path, override: str, line: str) -> None:
    assert problems(experiment, "name: x\n", override) == (line,)


# --- search --------------------------------------------------------------------------------------------------------


def test_a_search_with_a_condition(experiment: Path) -> None:
    search = loaded(experiment, SEARCH).search
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
        ("{stage2.lr: {low: 1, high: 2, log: true, step: 0.1}}", "log and step exclude each other"),
        ("{model.dropout: {low: 0.5, high: 1.5}}", "model.dropout: input should be less than 1, not 1.5"),
        ("{loss.name: {choices: [bce, focl]}}", "loss.name: input should be 'bce' or 'focal', not 'focl'"),
        ("{optimizer.batch_size: {low: 8.5, high: 16}}", "optimizer.batch_size: input should be a valid integer"),
        ("{data.source_size: {low: 28, high: 224}}", "data.source_size"),
        ("{loss.focal_gamma: {low: 1, high: 3}}", "focal_gamma belongs to name: focal, not to 'bce'"),
        (
            "{loss.name: {choices: [bce, focal]}, loss.focal_gamma: {low: 1, high: 3}}",
            "focal_gamma belongs to name: focal, not to 'bce' (loss.name=bce, loss.focal_gamma=1.0)",
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
def test_a_search_that_cannot_be(experiment: Path, search: str, part: str) -> None:
    (line,) = problems(experiment, f"name: x\nsearch: {search}\n")
    assert line.startswith(f"{experiment}: search")
    assert part in line


def test_every_wrong_distribution_is_reported(experiment: Path) -> None:
    found = problems(experiment, "name: x\nsearch: {a.b: {low: 1, high: 2}, stage2.lrr: {low: 1, high: 2}}\n")
    assert [line.split(": ")[1] for line in found] == ["search.a.b", "search.stage2.lrr"]


def test_choices_take_the_type_of_their_field(experiment: Path) -> None:
    search = loaded(
        experiment,
        "name: x\nsearch: {stage2.lr: {choices: [1e-4, 1]}, stage2.patience: {choices: [1.0, 7]}, "
        "model.dropout: {choices: [0, 0.5]}}\n",
    ).search
    assert repr(search["stage2.lr"].choices) == "(0.0001, 1.0)"
    assert repr(search["stage2.patience"].choices) == "(1, 7)"
    assert repr(search["model.dropout"].choices) == "(0.0, 0.5)"


@pytest.mark.parametrize(
    ("path", "whole"),
    [("seed", True), ("optimizer.batch_size", True), ("stage2.patience", True), ("stage2.lr", False), ("a.b", False)],
)
def test_integer_fields(path: str, whole: bool) -> None:
    assert is_integer_field(path) is whole


def test_values_of_a_trial(experiment: Path) -> None:
    config = loaded(experiment, SEARCH)
    trial = with_values(config, {"loss.name": "focal", "loss.focal_gamma": 1.5, "stage2.lr": 2e-4})
    assert (trial.loss.name, trial.loss.focal_gamma, trial.stage2.lr) == ("focal", 1.5, 2e-4)
    assert trial.search == {}
    assert config.loss.name == "bce"
    with pytest.raises(ConfigError, match=r"trial: stage2\.lr: input should be greater than 0"):
        with_values(config, {"stage2.lr": 0})


# --- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "name: x\n",
        "name: '2024'\nseed: 3\nmodel: {hidden: [], weights: none}\nstage2: {lr: 1.0e-5, patience: null}\n",
        "name: x\ndata: {classes: ['normal, benign', malignant], path: ~/a b.npz}\nmodel: {weights: 'é: #1.pt'}\n",
        SEARCH,
        "name: 'null'\nsearch: {model.stem: {choices: [mean, sum]}, seed: {low: 1, high: 9, step: 2}}\n",
    ],
)
def test_yaml_there_and_back(experiment: Path, text: str) -> None:
    config = loaded(experiment, text)
    again = loaded(experiment.with_name("again.yaml"), to_yaml(config))
    assert again == config
    assert again.digest() == config.digest()
    assert to_yaml(again) == to_yaml(config)


def test_flatten() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, "f": None, "g": {}}) == {
        "a.b.c": 1,
        "a.d": [1, {"e": 2}],
        "f": None,
        "g": {},
    }


def test_parse_names_its_source() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"name": "x", "seed": "many"}, source="trial 3")
    assert caught.value.problems == (
        "trial 3: seed: input should be a valid integer, unable to parse string as an integer, not 'many'",
    )
