"""``optuna-dashboard`` itself, on the database of a finished study."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from helpers.browsers import Browser, not_blank, running
from helpers.servers import free_port
from helpers.stores import STUDY, Store, copied, working_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

pytest.importorskip("optuna_dashboard", reason="needs the extra 'dashboard'")


@pytest.fixture(scope="module")
def opened(finished: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    """A store, and the address of the dashboard on its database."""
    folder = tmp_path_factory.mktemp("dashboard")
    store = copied(finished, folder / "store")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    program = shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent))
    command = [str(program), "sqlite:///optuna.db", "--host", "127.0.0.1", "--port", str(port)]
    with working_in(store.folder), running(command, folder / "log", f"{address}/api/meta", cwd=store.folder):
        yield store, address


def study_of(address: str) -> dict[str, object]:
    """What the dashboard's page reads of the study."""
    summaries = requests.get(f"{address}/api/studies", timeout=30).json()["study_summaries"]
    (number,) = [summary["study_id"] for summary in summaries if summary["study_name"] == STUDY]
    detail: dict[str, object] = requests.get(f"{address}/api/studies/{number}", timeout=30).json()
    return detail | {"study_id": number}


def test_it_reads_metric_names_the_note_and_the_runs(opened: tuple[Store, str]) -> None:
    store, address = opened
    study = study_of(address)
    assert study["objective_names"] == ["val_auc"]
    note = study["note"]
    assert isinstance(note, dict)
    assert f"**Trial {store.best} is the best: validation AUC" in note["body"]
    assert f"`{store.study_run}`" in note["body"]
    trials = study["trials"]
    assert isinstance(trials, list)
    attributes = [{item["key"]: item["value"].strip('"') for item in trial["user_attrs"]} for trial in trials]
    assert {each["run_id"] for each in attributes} == set(store.trials)
    links = [each["mlflow"] for each in attributes]
    assert len(links) == len(trials)
    assert all(any(run_id[:8] in link for run_id in store.trials) for link in links)
    for trial, each in zip(trials, attributes, strict=True):
        assert trial["note"]["body"].startswith(f"**Trial {trial['number']} of study `{STUDY}`**: `model.dropout` ")
        assert each["mlflow"] in trial["note"]["body"]


def test_its_page_shows_them(opened: tuple[Store, str], browser: Browser, pictures: Path) -> None:
    store, address = opened
    for width in (1200, 500):
        browser.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        browser.open(f"{address}/dashboard/studies/{study_of(address)['study_id']}/note")
        browser.wait_for(STUDY, f"Trial {store.best} is the best", "mobilenet-chest promote")
        time.sleep(1)
        assert not_blank(browser.screenshot(pictures / f"optuna_note_{width}.png"))
        browser.open(f"{address}/dashboard/studies/{study_of(address)['study_id']}")
        browser.wait_for(STUDY, "val_auc")
        time.sleep(1)
        assert not_blank(browser.screenshot(pictures / f"optuna_study_{width}.png"))
