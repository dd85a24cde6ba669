"""The study in its storage: found without creating anything, and never mixed with another experiment's trials."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from mobilenet_chest.config import Config
from mobilenet_chest.errors import StudyError
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.sampler import TrialSeededSampler
from mobilenet_chest.sweep.stored_study import (
    SHOWN,
    check_same_experiment,
    find_study,
    open_or_create,
    stored_studies,
)

Make = Callable[..., Config]

RANGE = {"stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@pytest.fixture
def study(url: str, tiny_search: Make) -> optuna.Study:
    return open_or_create(tiny_search(RANGE), url)


def test_looking_for_a_study_creates_nothing(url: str, tmp_path: Path, tiny_search: Make) -> None:
    assert stored_studies(url) == []
    assert find_study(url, "tiny") is None
    check_same_experiment(tiny_search(RANGE), url)
    assert list(tmp_path.iterdir()) == []


def test_a_new_study_has_definition_sampler_and_directions(url: str, tiny_search: Make) -> None:
    config = tiny_search(RANGE, max_retries=5, also=["parameters"])
    study = open_or_create(config, url)
    assert [each.study_name for each in stored_studies(url)] == [study.study_name] == ["tiny"]
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert isinstance(study.sampler, TrialSeededSampler)
    assert study.user_attrs[attributes.MAX_RETRIES] == 5
    definition = json.loads(study.user_attrs[attributes.DEFINITION])
    assert definition["search.stage2.lr"]["high"] == 1e-2
    assert "stage2.lr" not in definition  # it is searched
    stored = find_study(url, "tiny")
    assert stored is not None
    assert stored.user_attrs == study.user_attrs


def test_stress_is_maximised_beside_the_metric(url: str, tiny_search: Make) -> None:
    stress = {"evaluation": {"stress": {}}}
    study = open_or_create(tiny_search(RANGE, stress, also=["stress_auc_worst", "parameters"]), url)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MAXIMIZE", "MINIMIZE"]


def test_the_definition_stays_and_the_retries_are_those_of_the_last_command(
    study: optuna.Study, url: str, tiny_search: Make
) -> None:
    before = study.user_attrs[attributes.DEFINITION]
    again = open_or_create(tiny_search(RANGE, trials=9, max_retries=0), url)
    assert again.user_attrs[attributes.DEFINITION] == before
    assert again.user_attrs[attributes.MAX_RETRIES] == 0


def test_another_search_or_experiment_is_refused(study: optuna.Study, url: str, tiny_search: Make) -> None:
    check_same_experiment(tiny_search(RANGE, {"gates.sensitivity": 0.9}, trials=6), url)
    wider = tiny_search({"stage2.lr": {"low": 1e-5, "high": 1e-2, "log": True}}, trials=6)
    with pytest.raises(StudyError, match=r"different: search\.stage2\.lr\)"):
        check_same_experiment(wider, url)
    with pytest.raises(StudyError, match=r"different: data\.image_size\)"):
        check_same_experiment(tiny_search(RANGE, {"data.image_size": 48}), url)
    values = {"data.image_size": 48, "model.stem": "sum", "optimizer.batch_size": 4, "stage1.epochs": 4, "seed": 1,
              "model.dropout": 0.3, "optimizer.weight_decay": 0.5}  # fmt: skip
    with pytest.raises(StudyError, match=f"and {len(values) - SHOWN} more"):
        check_same_experiment(tiny_search(RANGE, values), url)


def test_how_a_study_is_run_and_ends_may_change(study: optuna.Study, url: str, tiny_search: Make) -> None:
    check_same_experiment(tiny_search(RANGE, workers=3, notify="true", lease_seconds=9, trials=40), url)
    definition = json.loads(study.user_attrs[attributes.DEFINITION])
    study.set_user_attr(attributes.DEFINITION, json.dumps(definition | {"study.workers": 2}))  # of an earlier version
    check_same_experiment(tiny_search(RANGE, workers=1), url)
    endless: dict[str, Any] = {"scheduler": "freeze_thaw", "name": "endless"}
    longer = {"stage2.epochs": 3}
    open_or_create(tiny_search(RANGE, longer, **endless), url)
    check_same_experiment(tiny_search(RANGE, longer, **endless, stop_when={"gain": 0.1, "per": "30m"}), url)
    with pytest.raises(StudyError, match=r"different: study\.freeze_thaw\.slice\)"):
        check_same_experiment(tiny_search(RANGE, longer, **endless, freeze_thaw={"slice": 2}), url)


def test_a_study_from_before_there_was_resampling_is_continued(
    study: optuna.Study, url: str, tiny_search: Make
) -> None:
    """A field that is newer than the study had its default."""
    definition = json.loads(study.user_attrs[attributes.DEFINITION])
    for path in ("study.resampling", "study.folds", "data.split_seed"):
        del definition[path]
    study.set_user_attr(attributes.DEFINITION, json.dumps(definition))
    check_same_experiment(tiny_search(RANGE), url)
    with pytest.raises(StudyError, match=r"\(different: study\.resampling\)"):
        check_same_experiment(tiny_search(RANGE, resampling="reshuffle"), url)


@pytest.mark.parametrize(
    "form", ["sqlite:///{}?timeout=60", "sqlite+pysqlite:///{}", "sqlite:///file:{}?uri=true", "sqlite:///{}"]
)
def test_a_study_is_found_whatever_form_its_address_has(
    form: str, tmp_path: Path, study: optuna.Study, tiny_search: Make
) -> None:
    address = form.format(tmp_path / "optuna.db")
    assert [each.study_name for each in stored_studies(address)] == ["tiny"]
    with pytest.raises(StudyError, match=r"stage2\.epochs"):
        check_same_experiment(tiny_search(RANGE, {"stage2.epochs": 3}), address)
    for missing in ("none.db", "folder/none.db"):
        assert stored_studies(form.format(tmp_path / missing)) == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".db") == ["optuna.db"]


def test_a_prior_is_part_of_the_search(url: str, tiny_search: Make) -> None:
    prior = {"stage2.lr": RANGE["stage2.lr"] | {"prior": 1e-3}}
    study = open_or_create(tiny_search(prior), url)
    assert json.loads(study.user_attrs[attributes.DEFINITION])["search.stage2.lr"]["prior"] == 1e-3
    check_same_experiment(tiny_search(prior, trials=9), url)
    with pytest.raises(StudyError, match=r"different: search\.stage2\.lr\)"):
        check_same_experiment(tiny_search(RANGE), url)


def test_a_study_of_before_there_were_priors_is_the_same(study: optuna.Study) -> None:
    definition = json.loads(study.user_attrs[attributes.DEFINITION])
    assert "prior" not in definition["search.stage2.lr"]
    assert definition["study.learn_from"] == []


def test_other_studies_to_learn_from_make_another_study(study: optuna.Study, url: str, tiny_search: Make) -> None:
    with pytest.raises(StudyError, match=r"different: study\.learn_from\)"):
        check_same_experiment(tiny_search(RANGE, learn_from="all"), url)
