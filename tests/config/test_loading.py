"""Experiment files and overrides: every problem named at once, nothing executed, nothing silently ignored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.experiments import CONDITIONAL_SEARCH

from mobilenet_chest.config import Config, load, parse, to_yaml, with_values
from mobilenet_chest.errors import ConfigError

Problems = Callable[..., tuple[str, ...]]
Loaded = Callable[..., Config]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name: x\nname: y\n", "the key 'name'"),
        ("name: x\nstage2:\n  lr: 1.0\n  lr: 2.0\n", "the key 'lr'"),
        ("name: [x\n", "not valid YAML"),
        ("- name\n", "not an experiment"),
        ("", "not an experiment"),
        ("seed: 1\n", "name: missing"),
        ("name: x\ndata: {classes: [cardiomegaly]}\n", "data.classes: two classes are told apart, not 1"),
        ("name: x\nstage1:\n", "stage1: must be a section with fields, not None"),
        ("name: x\n1: 2\n", "keys should be strings"),
        ("name: x\nseed: !!int many\n", "not valid YAML"),
        pytest.param("name: " + "[" * 5000, "not valid YAML", id="nested without end"),
    ],
)
def test_files_that_are_no_experiment(problems: Problems, experiment: Path, text: str, part: str) -> None:
    (line,) = problems(text)
    assert line.startswith(f"{experiment}: ")
    assert part in line


def test_merged_keys_of_yaml(loaded: Loaded) -> None:
    config = loaded("name: x\nstage1: &base {epochs: 7, lr: 2.0e-3}\nstage2: {<<: *base, lr: 5.0e-4}\n")
    assert (config.stage2.epochs, config.stage2.lr) == (7, 5e-4)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: .*`ls experiments`"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path}: ")):
        load(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(ConfigError, match=r"binary\.yaml: .*YAML"):
        load(tmp_path / "binary.yaml")


@pytest.mark.parametrize("where", ["file", "override"])
def test_no_tag_runs_code(problems: Problems, experiment: Path, where: str) -> None:
    canary = experiment.with_name("canary")
    hostile = f"!!python/object/apply:os.system ['touch {canary}']"
    if where == "file":
        (line,) = problems(f"name: x\nmodel: {hostile}\n")
        assert "could not determine a constructor for the tag" in line
    else:
        (line,) = problems("name: x\n", f"model={hostile}")
        assert "not valid YAML" in line
    assert not canary.exists()


def test_overrides_go_on_top_of_the_file(loaded: Loaded, experiment: Path) -> None:
    config = loaded(
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


def test_a_search_path_keeps_its_dots(loaded: Loaded) -> None:
    config = loaded(
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
        ("seed=010", "command line: seed: must be a plain decimal number such as 16 or 1e-3, not '010'"),
        ("stage2.epochs=1:30", "command line: stage2.epochs: must be a valid integer, not '1:30'"),
        ("name.first=3", "'name.first=3': 'name' is not a section, so it has no 'first'"),
        ("sede=3", f"command line: sede: unknown key; did you mean 'seed'? Allowed: {', '.join(Config.model_fields)}"),
        ("seed=-1", "command line: seed: must be greater than or equal to 0, not -1"),
    ],
)
def test_wrong_overrides(problems: Problems, override: str, line: str) -> None:
    assert problems("name: x\n", override) == (line,)


def test_values_of_a_trial(loaded: Loaded) -> None:
    config = loaded(CONDITIONAL_SEARCH)
    trial = with_values(config, {"loss.name": "focal", "loss.focal_gamma": 1.5, "stage2.lr": 2e-4})
    assert (trial.loss.name, trial.loss.focal_gamma, trial.stage2.lr) == ("focal", 1.5, 2e-4)
    assert trial.search == {}
    assert config.loss.name == "bce"
    with pytest.raises(ConfigError, match=r"^trial: stage2\.lr: .*\b0$"):
        with_values(config, {"stage2.lr": 0})


def test_the_trial_of_a_confirmation_keeps_a_name_longer_than_users_may_give() -> None:
    config = parse({"name": "tiny", "search": {"stage2.lr": {"low": 1e-4, "high": 1e-2}}, "study": {"name": "s" * 200}})
    study = config.study.model_copy(update={"name": f"{config.study_name}/confirm"})
    trial = with_values(config.model_copy(update={"study": study}), {"stage2.lr": 2e-4})
    assert trial.study_name == "s" * 200 + "/confirm"
    assert parse(trial.resolved()) == trial  # as the runs of the confirmation store it
    with pytest.raises(ConfigError, match="at most 200 characters, not 201"):
        parse({"name": "tiny", "study": {"name": "s" * 201}})
    assert (trial.stage2.lr, trial.search) == (2e-4, {})


@pytest.mark.parametrize(
    "text",
    [
        "name: x\n",
        "name: '2024'\nseed: 3\nmodel: {hidden: [], weights: none}\nstage2: {lr: 1.0e-5, patience: null}\n",
        "name: x\ndata: {classes: ['normal, benign', malignant], path: ~/a b.npz}\nmodel: {weights: 'é: #1.pt'}\n",
        CONDITIONAL_SEARCH,
        "name: '1e3'\nmodel: {weights: '010'}\ntracking: {experiment: '1:30', plots: off}\n",
        "name: 'null'\nsearch: {model.stem: {choices: [mean, sum]}, seed: {low: 1, high: 9, step: 2}}\n",
    ],
)
def test_yaml_there_and_back(loaded: Loaded, experiment: Path, text: str) -> None:
    config = loaded(text)
    experiment.with_name("again.yaml").write_text(to_yaml(config), encoding="utf-8")
    again = load(experiment.with_name("again.yaml"))
    assert again == config
    assert again.digest() == config.digest()
    assert to_yaml(again) == to_yaml(config)


@pytest.mark.parametrize("path", ["/x/a #b/c.npz", "/x/a=b.npz", "#c.npz", "/x/a: 100%/c.npz", "/x/'a'.npz"])
def test_an_override_takes_a_path_as_it_is(loaded: Loaded, path: str) -> None:
    if ": " not in path:
        assert loaded("name: x\n", f"data.path={path}").data.path == Path(path).absolute()
    assert loaded("name: x\n", f"data.path={json.dumps(path)}").data.path == Path(path).absolute()
    assert loaded("name: x\n", "model.hidden=[3, 4]  # two").model.hidden == (3, 4)


# --- from Python ---------------------------------------------------------------------------------------------------


def test_keyword_values_come_last_and_replace_only_what_they_name(experiment: Path) -> None:
    experiment.write_text("name: x\nstage2: {lr: 1.0e-4, epochs: 5}\nsearch: {seed: {choices: [1, 2]}}\n")
    config = load(experiment, ["stage2.lr=2e-4", "seed=3"], stage2={"lr": 1e-3}, **{"model.hidden": (8,)}, search={})
    assert (config.stage2.lr, config.stage2.epochs, config.seed) == (1e-3, 5, 3)
    assert config.model.hidden == (8,)
    assert config.search == {}


def test_a_mapping_is_an_experiment_and_is_left_as_it_is() -> None:
    fields = {"name": "x", "stage2": {"epochs": 5}, "data": {"path": Path("mine.npz")}}
    config = load(fields, stage2={"epochs": 6}, study={"confirm": {"top": 2}})
    assert (config.stage2.epochs, fields["stage2"]) == (6, {"epochs": 5})
    assert config.data.path == Path("mine.npz").absolute()
    assert config.study.confirm is not None
    assert config.study.confirm.top == 2


def test_keywords_alone_are_an_experiment() -> None:
    config = load(name="mine", stage2={"epochs": 3})
    assert (config.name, config.stage2.epochs) == ("mine", 3)


def test_an_experiment_can_be_changed(experiment: Path) -> None:
    experiment.write_text("name: x\nstage2: {epochs: 5}\nsearch: {seed: {choices: [1, 2]}}\n")
    config = load(experiment)
    changed = load(config, "stage2.epochs=6", seed=8)
    assert (changed.stage2.epochs, changed.seed) == (6, 8)
    assert (config.stage2.epochs, load(config)) == (5, config)


def test_what_is_no_experiment() -> None:
    with pytest.raises(ConfigError, match="'5' is no experiment"):
        load(5)  # type: ignore[arg-type]


def test_a_mapping_as_the_value_of_a_field() -> None:
    config = load(None, data={"classes": {"healthy": [0], "sick": [1, 2]}}, search={"stage2.lr": {"low": 1, "high": 2}})
    assert config.data.classes is not None
    assert [getattr(group, "name", None) for group in config.data.classes] == ["healthy", "sick"]
    assert list(config.search) == ["stage2.lr"]


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"stage2": {"lrr": 1}}, "keyword argument: stage2.lrr: unknown key; did you mean 'lr'?"),
        ({"stage2.lr": "fast"}, "keyword argument: stage2.lr: must be a valid number, not 'fast'"),
        ({"stage2": 3}, "keyword argument: stage2: must be a section with fields, not 3"),
        ({"seed.x": 3}, "'seed' is not a section"),
    ],
)
def test_wrong_keyword_values(fields: dict[str, object], part: str) -> None:
    with pytest.raises(ConfigError) as error:
        load({"name": "x", "seed": 1}, **fields)
    (line,) = error.value.problems
    assert part in line
