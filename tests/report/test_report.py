"""Writing the page: where it goes, what is refused, and what stays when it cannot be made."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers.pages import Page
from typer.testing import CliRunner

from mobilenet_chest import files
from mobilenet_chest import report as module
from mobilenet_chest.cli.app import app
from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.report import report

if TYPE_CHECKING:
    from helpers.stores import Store
    from report.conftest import Written


def test_it_is_an_artifact_of_the_study_and_small(written: Written) -> None:
    store, made = written.store, written.report
    assert made.run_id == store.study_run
    logged = Path(store.client.download_artifacts(store.study_run, "report.html"))
    assert logged.read_text(encoding="utf-8") == written.page.source == made.out.read_text(encoding="utf-8")
    assert made.size == made.out.stat().st_size < 1_000_000


def test_a_comparison_is_an_artifact_of_no_run(store: Store) -> None:
    out = store.folder / "both.html"
    assert report(["dropout-study", store.single], out).run_id is None
    assert out.is_file()
    assert not store.client.list_artifacts(store.single, "report.html")


def test_the_command_replaces_the_file_and_says_where_the_page_is(store: Store) -> None:
    out = store.folder / "report.html"
    out.write_text("old")
    done = CliRunner().invoke(app, ["report", "dropout-study", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "report.html" in done.output
    assert store.study_run[:8] in done.output
    assert Page(out.read_text(encoding="utf-8")).all("h1")[0].text == "Study dropout-study"
    assert [path.name for path in store.folder.glob("*report.html*")] == ["report.html"]


def test_without_a_file_the_page_has_the_name_of_the_study(store: Store) -> None:
    folder = store.folder / "pages"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:  # which ends before the store's folder is left
        patch.chdir(folder)
        done = CliRunner().invoke(app, ["report", "dropout-study"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("dropout-study.html: ")
    assert Page((folder / "dropout-study.html").read_text(encoding="utf-8")).all("h1")[0].text == "Study dropout-study"


@pytest.mark.parametrize(
    ("out", "advice"),
    [("nowhere/report.html", "nowhere"), (".", "report.html"), ("/proc/report.html", "No such file or directory")],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch, out: str, advice: str
) -> None:
    monkeypatch.setattr(module, "connect", lambda: pytest.fail("it has asked MLflow"))
    done = CliRunner().invoke(app, ["report", "dropout-study", "--out", out])
    assert done.exit_code == 2
    assert f"--out {out}: " in done.output
    assert advice in done.output.partition(f"--out {out}: ")[2]
    assert "Traceback" not in done.output


def test_an_old_page_stays_where_the_new_one_cannot_be_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    out = store.folder / "report.html"
    out.write_text("old")
    with pytest.raises(TrackingError, match="dropout-study"):
        report(["dropout-stud"], out)
    with pytest.raises(TrackingError, match=f"run {store.interrupted[:8]} "):
        report([store.interrupted], out)

    shutil.rmtree(next(store.folder.glob(f"mlruns/**/{store.single}/artifacts/predictions")))
    with pytest.raises(TrackingError, match=rf"run {store.single[:8]} .*predictions/val\.parquet"):
        report([store.single], out)

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(UserError, match=os.strerror(errno.ENOSPC)):
            module.write_page(out, b"new")
    assert out.read_text() == "old"
    assert [path.name for path in store.folder.glob("*report.html*")] == ["report.html"]
