"""The user interface of MLflow, in a real browser, on a store that a real sweep has filled."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from helpers.browsers import Browser, not_blank, until
from helpers.servers import MlflowServer
from helpers.stores import work_here, working_in
from mlflow import MlflowClient
from PIL import Image

from mobilenet_chest.config import parse
from mobilenet_chest.sweep import SweepResult, run_sweep
from mobilenet_chest.sweep import study as study_module
from mobilenet_chest.tracking.view import page_address

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, _empty_database: Path, chest_file: Path) -> Iterator[SweepResult]:
    """A finished sweep of two trials, in a store that the environment names."""
    folder = tmp_path_factory.mktemp("swept")
    source, target = sqlite3.connect(_empty_database), sqlite3.connect(folder / "mlflow.db")
    source.backup(target)
    source.close()
    target.close()
    config = parse(
        {
            "name": "browsed",
            "seed": 5,
            "device": "cpu",
            "data": {
                "dataset": "chestmnist",
                "classes": ["cardiomegaly", "pneumothorax"],
                "path": str(chest_file),
                "image_size": 32,
            },
            "model": {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]},
            "optimizer": {"batch_size": 16, "accumulation": 1},
            "stage1": {"epochs": 2},
            "stage2": {"epochs": 4, "lr": 2e-3},
            "search": {"model.dropout": {"choices": [0.2, 0.6]}},
            "study": {"name": "browsed-study", "trials": 2, "sampler": "grid", "pruner": "none"},
        }
    )
    with working_in(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_module, "run_workers", work_here)
        yield run_sweep(config)


@pytest.fixture(scope="module")
def server(swept: SweepResult, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own server on that store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        server = MlflowServer(
            tmp_path_factory.mktemp("server"),
            backend=os.environ["MLFLOW_TRACKING_URI"],
            environment={"MLFLOW_DISABLE_TELEMETRY": "true"},
        )
    yield server.uri
    server.kill()


def experiment_page(server: str, run_id: str) -> str:
    return f"{server}/#/experiments/{MlflowClient().get_run(run_id).info.experiment_id}/runs"


SETTINGS = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
}
"""What a click on "Model training", and one that closes the assistant, leave in the browser."""

SHOW_COLUMNS = """
const [experiment, columns] = arguments;
const key = `MLflowLocalStorage-1.1-ExperimentPage-["${experiment}"]-ReactComponentState`;
localStorage[key] = JSON.stringify({...JSON.parse(localStorage[key]), selectedColumns: columns});
"""
"""What a choice under "Columns" leaves in the browser."""


@pytest.fixture
def interface(server: str, browser: Browser) -> str:
    """The server, opened once in the browser as for a person who trains models."""
    browser.open(server)
    for key, value in SETTINGS.items():
        browser.run("localStorage[arguments[0]] = arguments[1]", key, value)
    return server


def test_the_runs_page_lists_the_study_its_trials_and_a_metric(
    interface: str, swept: SweepResult, browser: Browser, pictures: Path
) -> None:
    page = experiment_page(interface, swept.run_id)
    browser.open(page)
    browser.wait_for("browsed-study", "3 matching runs")
    experiment = MlflowClient().get_run(swept.run_id).info.experiment_id
    browser.run(SHOW_COLUMNS, experiment, ["metrics.`final/best_val_auc`", "metrics.`final/val_auc`"])
    browser.open("about:blank")
    browser.open(page)
    browser.wait_for("browsed-study", "final/best_val_auc", "3 matching runs")
    browser.click(".ag-row button[data-component-id*=runnamecellrenderer]")  # the [+] before the study's name
    browser.wait_for("browsed-study-0", "browsed-study-1", "final/val_auc")
    time.sleep(1)  # the table settles
    assert not_blank(browser.screenshot(pictures / "runs.png"))


HEADINGS = "return [...document.querySelectorAll('.ag-header-cell')].map(cell => cell.getAttribute('col-id'))"
NAMES = """
const cells = [...document.querySelectorAll(".ag-row [col-id='attributes.`Run Name`'] a")];
const top = cell => cell.getBoundingClientRect().y;
return cells.sort((a, b) => top(a) - top(b)).map(cell => cell.innerText.trim());
"""


def test_what_browse_opens_is_the_leaderboard_by_the_study_s_metric(
    server: str, swept: SweepResult, browser: Browser, pictures: Path
) -> None:
    """In a browser that has opened nothing of MLflow before."""
    address = page_address(MlflowClient(), server, swept.study)
    browser.open(server)
    browser.run("localStorage.clear()")
    ranked = sorted(swept.trials, key=lambda trial: -(trial.value or 0))
    for width in (500, 1200):
        browser.resize(width, 900)
        browser.open("about:blank")
        browser.open(address)
        browser.wait_for("study browsed-study", *(f"browsed-study-{trial.number}" for trial in ranked))
        until(lambda: browser.run(NAMES) == [f"browsed-study-{trial.number}" for trial in ranked], 30, "best first")
        time.sleep(1)  # the table settles
        assert not_blank(browser.screenshot(pictures / f"leaderboard_{width}.png"))
    browser.resize(2200, 1000)
    wanted = {"metrics.`final/val_auc`", "tags.`interval`", "params.`model.dropout`", "tags.`trial_state`", "duration"}
    until(lambda: wanted <= set(browser.run(HEADINGS)), 30, "the columns of the view")
    shown = str(ranked[0].value)[:6]  # MLflow cuts digits off, and does not round
    until(lambda: shown in browser.text(), 30, "the best value")
    browser.open("about:blank")
    browser.open(f"{address}&compareRunsMode=CHART")
    browser.wait_for("Study", "val/loss", f"browsed-study-{ranked[0].number} (val/auc)")
    time.sleep(1)
    assert not_blank(browser.screenshot(pictures / "charts.png"))


def test_the_study_s_description_is_the_answer_with_links(
    interface: str, swept: SweepResult, browser: Browser, pictures: Path
) -> None:
    browser.open(f"{experiment_page(interface, swept.run_id)}/{swept.run_id}")
    browser.wait_for(f"Trial {swept.best.number} is the best: validation AUC", "2 of 2 trials have ended")
    links = browser.run("return [...document.querySelectorAll('td a')].map(link => link.href)")
    assert [link for link in links if f"/runs/{swept.best.run_id}?" in link]
    for width in (500, 1200):
        browser.resize(width, 900)
        time.sleep(1)
        browser.run("document.evaluate(\"//strong[contains(., 'is the best')]\", document, null, 9).singleNodeValue"
                    ".scrollIntoView()")  # fmt: skip
        assert not_blank(browser.screenshot(pictures / f"description_{width}.png"))
    browser.resize(1600, 1000)


def test_a_trial_s_overview_shows_its_figures_and_parameters(
    interface: str, swept: SweepResult, browser: Browser, pictures: Path
) -> None:
    browser.open(f"{experiment_page(interface, swept.run_id)}/{swept.best.run_id}")
    browser.wait_for(f"browsed-study-{swept.best.number}", "Finished", "final/val_auc", "train/loss", "model.dropout")
    assert not_blank(browser.screenshot(pictures / "run_overview.png"))


def test_a_trial_s_metrics_are_drawn(interface: str, swept: SweepResult, browser: Browser, pictures: Path) -> None:
    browser.open(f"{experiment_page(interface, swept.run_id)}/{swept.best.run_id}/model-metrics")
    browser.wait_for(f"browsed-study-{swept.best.number}", "train_seconds")

    def scrolled_to_the_metric() -> bool:
        # charts are drawn as they come into view
        browser.run("for (const e of document.querySelectorAll('*')) if (e.scrollHeight > e.clientHeight) "
                    "e.scrollTop += 300")  # fmt: skip
        return f"browsed-study-{swept.best.number} (val/auc)" in browser.text()

    until(scrolled_to_the_metric, 60, "a chart of val/auc")
    time.sleep(2)  # the lines follow the titles
    assert not_blank(browser.screenshot(pictures / "run_metrics.png"))


def test_the_artifacts_are_served(server: str, swept: SweepResult) -> None:
    def fetched(run_id: str | None, path: str) -> requests.Response:
        answer = requests.get(f"{server}/get-artifact", params={"run_id": run_id, "path": path}, timeout=60)
        assert answer.status_code == 200, answer.text[:500]
        return answer

    for trial in swept.trials:
        for name, least in (("training_curves", 600), ("val_predictions", 600)):
            content = fetched(trial.run_id, f"plots/{name}.png").content
            assert content.startswith(b"\x89PNG\r\n\x1a\n")
            path = Path(f"{name}.png")
            path.write_bytes(content)
            with Image.open(path) as image:
                assert min(image.size) >= least / 2
                assert image.width >= least
            assert not_blank(path)
    page = fetched(swept.run_id, "plots/study.html").text
    assert "<html" in page
    assert "plotly" in page.lower()
    assert "browsed-study" in page
    board = fetched(swept.run_id, "leaderboard.csv").text
    assert str(swept.best.run_id) in board


def test_the_study_s_plots_are_drawn(swept: SweepResult, server: str, browser: Browser, pictures: Path) -> None:
    answer = requests.get(
        f"{server}/get-artifact", params={"run_id": swept.run_id, "path": "plots/study.html"}, timeout=60
    )
    page = Path("study.html").absolute()
    page.write_bytes(answer.content)
    browser.open(page.as_uri())
    browser.wait_for("browsed-study", "model.dropout")
    assert not_blank(browser.screenshot(pictures / "study.png"))
