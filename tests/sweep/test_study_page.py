"""The page that a study leaves in MLflow."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from helpers.confirmations import CONFIRMATION
from helpers.pages import Page
from optuna.trial import TrialState, create_trial

from mobilenet_chest.config import Config, load
from mobilenet_chest.sweep import study_page
from mobilenet_chest.sweep.confirm import Confirmation
from mobilenet_chest.sweep.leaderboard import importances, leaderboard

LR = optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)
DROPOUT = optuna.distributions.CategoricalDistribution([0.2, "<b>&"])
VALUES = (0.9, 0.89, 0.86, 0.81, 0.74, 0.65)


@pytest.fixture
def study() -> optuna.Study:
    """Six complete trials and a failed one, which has no value and only one of the two parameters."""
    study = optuna.create_study(direction="maximize")
    for number, value in enumerate(VALUES):
        params = {"lr": 1e-4 * (number + 1), "dropout": "<b>&" if number % 2 else 0.2}
        study.add_trial(create_trial(params=params, distributions={"lr": LR, "dropout": DROPOUT}, value=value,
                                     user_attrs={"run_id": f"r{number}"}))  # fmt: skip
    study.add_trial(create_trial(state=TrialState.FAIL, params={"lr": 1e-3}, distributions={"lr": LR}))
    return study


def config(name: str) -> Config:
    loaded = load(Path(__file__).parents[2] / "experiments" / "quickstart.yaml")
    return loaded.model_copy(update={"study": loaded.study.model_copy(update={"name": name})})


def page_of(study: optuna.Study, name: str, confirmation: Confirmation | None) -> Page:
    named = config(name)
    table = leaderboard(study, named.study)
    return Page(study_page._page(named, study, table, importances(study), confirmation))


def test_the_page_opens_offline_and_has_every_trial(study: optuna.Study) -> None:
    page = page_of(study, "tiny", None)
    assert [heading.text for heading in page.all("h1", "h2")] == [
        "Study tiny", "Leaderboard", "History", "Importance of each parameter", "Parallel coordinates", "Slices"
    ]  # fmt: skip
    assert len(page.all("tr")) == 1 + len(VALUES) + 1
    assert not [script for script in page.all("script") if "src" in script.attributes]
    assert sum(len(script.text) > 1_000_000 for script in page.all("script")) == 1
    assert "best trial 0: 0.9000" in page.all("p")[0].text


def test_names_and_values_are_escaped(study: optuna.Study) -> None:
    hostile = "</title><script>alert(1)</script>{{ 7 * 7 }}"
    page = page_of(study, hostile, None)
    assert page.all("title")[0].text == page.all("h1")[0].text == f"Study {hostile}"
    assert "<b>&" in [cell.text for cell in page.all("td")]
    assert not page.all("b")


def test_a_confirmation_is_shown_with_its_leaders(study: optuna.Study) -> None:
    page = page_of(study, "tiny", CONFIRMATION)
    assert page.all("h2")[0].text == "Confirmation"
    texts = " ".join(paragraph.text for paragraph in page.all("p"))
    for fact in ("trial 1", "0.8950", "0.8900", "+0.0200", "-0.0100", "+0.0500", "median1", "trial 3"):
        assert fact in texts
    table = study_page.confirmation_table(CONFIRMATION, "val_auc", {0: "0", 1: "0, second attempt"})
    assert list(table["number"]) == [1, 0]
    assert list(table["trial"]) == ["0, second attempt", "0"]
    assert list(table["median_run"]) == ["median1", "median0"]
    assert {"median1", "median0"} <= {cell.text for cell in page.all("td")}
