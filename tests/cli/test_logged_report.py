"""The report that a sweep and a promotion log by themselves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.stores import STUDY, Store

from mobilenet_chest.cli import logged_report as module
from mobilenet_chest.cli.logged_report import MOST_TRIALS, log_quietly, log_sweep_report
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.report import ARTIFACT, has_report, log_report


def result(complete: int = 2, new: int = 0) -> Any:
    trials = [SimpleNamespace(state="COMPLETE")] * complete
    return SimpleNamespace(study=STUDY, run_id="r", trials=trials, new_trials=new)


def config(plots: bool = True) -> Any:
    return SimpleNamespace(tracking=SimpleNamespace(plots=plots))


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what a report was logged about; the study's run has none yet."""
    names: list[str] = []
    monkeypatch.setattr(module, "log_report", names.append)
    monkeypatch.setattr(module, "has_report", lambda run_id: False)
    return names


def test_a_sweep_logs_its_report_once(logged: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    log_sweep_report(config(), result())
    log_sweep_report(config(), result(new=1))
    assert logged == [STUDY, STUDY]
    monkeypatch.setattr(module, "has_report", lambda run_id: True)
    log_sweep_report(config(), result())
    assert logged == [STUDY, STUDY]
    log_sweep_report(config(), result(new=1))
    assert len(logged) == 3


def test_no_plots_or_very_many_trials_have_no_report(logged: list[str]) -> None:
    log_sweep_report(config(plots=False), result(new=1))
    log_sweep_report(config(), result(MOST_TRIALS + 1, new=1))
    assert not logged


def test_what_prevents_it_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise TrackingError("the store is away")

    monkeypatch.setattr(module, "log_report", fail)
    log_quietly(STUDY)
    assert capsys.readouterr().err == "the report is not logged: the store is away\n"
    monkeypatch.setattr(module, "has_report", fail)
    log_sweep_report(config(), result())
    assert capsys.readouterr().err == ""


def test_the_study_s_run_has_it(store: Store) -> None:
    assert not has_report(store.study_run)
    assert log_report(STUDY) == store.study_run
    assert has_report(store.study_run)
    (page,) = Path("mlruns").rglob(ARTIFACT)
    assert STUDY in page.read_text(encoding="utf-8")
    assert log_report(store.single) == store.single
