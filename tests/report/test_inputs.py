"""The page of a run and of several names, hostile names, data that are gone, and places that cannot be written."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers.pages import Page
from typer.testing import CliRunner

from mobilenet_chest import report as module
from mobilenet_chest.cli.app import app
from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.report import report
from mobilenet_chest.report.material import examine
from mobilenet_chest.tracking.runs import Candidate
from mobilenet_chest.tracking.tags import OUT_OF_FOLD, SCORED_ON

if TYPE_CHECKING:
    from helpers.stores import Store

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=\"alert('2')\">{0}%s"


def page_of(out: Path) -> Page:
    return Page(out.read_text(encoding="utf-8"))


def test_a_run_s_page_escapes_its_name_and_leaves_out_what_a_run_has_not(store: Store) -> None:
    store.client.update_run(store.single, name=HOSTILE)
    store.client.set_tag(store.single, "git_commit", HOSTILE)
    store.data.unlink()
    out = store.folder / "one.html"
    made = report([store.single], out)
    page = page_of(out)
    assert made.run_id == store.single
    assert page.all("h1")[0].text == f"Run {HOSTILE}"
    assert HOSTILE in page.by_id("provenance").text
    assert not page.all("script", "img")
    assert "search" not in [section.attributes["id"] for section in page.all("section")]
    # predictions are there without the file, pictures are not
    assert page.rows("confusion")
    assert "No pictures: " in page.by_id("predictions").text
    assert "chest.npz" in page.by_id("predictions").text
    assert "No audit of the data: " in page.by_id("data").text
    assert "has not been opened" in page.by_id("test").text


def test_several_names_are_a_comparison_which_no_run_keeps(store: Store) -> None:
    store.client.set_tag(store.single, "val_digest", "0123456789abcdef")
    out = store.folder / "both.html"
    made = report(["dropout-study", store.trials[1 - store.best]], out, baseline=store.single)
    page = page_of(out)
    assert made.run_id is None
    assert not store.client.list_artifacts(store.single, "report.html")
    assert page.all("h1")[0].text == f"Comparison dropout-study, {store.trials[1 - store.best]}"
    (answer,) = page.all("div", kind="answer")
    assert "The best of these runs is dropout-study: " in answer.text
    assert "cannot be set against the baseline single: scored on other images" in answer.text
    assert "0123456789abcdef" in page.by_id("discrimination").text
    assert len(page.rows("leaderboard-rows")) == 3


def test_an_ensemble_of_folds_shows_the_images_that_it_was_scored_on(store: Store) -> None:
    store.client.set_tag(store.single, SCORED_ON, OUT_OF_FOLD)
    one = examine(store.client, Candidate(store.run(store.single)), "single")
    with np.load(store.data) as file:
        expected, in_train = [file["val_images"][3], file["train_images"][5]], len(file["train_images"])
    rows = replace(one.scored.predictions, row=np.array([in_train + 3, 5]))
    images = replace(one, scored=replace(one.scored, predictions=rows)).images(np.arange(2))
    assert not isinstance(images, str)
    for image, stored in zip(images, expected, strict=True):
        np.testing.assert_array_equal(image, stored)
    assert f"({OUT_OF_FOLD})" in one.images_scored


def test_the_command_replaces_the_file_and_says_where_the_page_is(store: Store) -> None:
    out = store.folder / "report.html"
    out.write_text("old")
    done = CliRunner().invoke(app, ["report", "dropout-study", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert f"as report.html in run {store.study_run}" in " ".join(done.output.split())
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert not list(store.folder.glob(".report.html*"))


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("nowhere/report.html", "there is no folder"),
        (".", "is a folder; name a file in it, such as report.html"),
        ("/proc/report.html", "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch, out: str, said: str
) -> None:
    monkeypatch.setattr(module, "connect", lambda: pytest.fail("it has looked at MLflow"))
    done = CliRunner().invoke(app, ["report", "dropout-study", "--out", out])
    assert done.exit_code == 2
    assert f"--out {out}: " in done.output
    assert said in done.output
    assert "Traceback" not in done.output


def test_an_old_page_stays_where_the_new_one_cannot_be_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    out = store.folder / "report.html"
    out.write_text("old")
    with pytest.raises(TrackingError, match="did you mean 'dropout-study'"):
        report(["dropout-stud"], out)
    with pytest.raises(TrackingError, match=f"run {store.interrupted} has not finished"):
        report([store.interrupted], out)

    shutil.rmtree(next(store.folder.glob(f"mlruns/**/{store.single}/artifacts/predictions")))
    with pytest.raises(TrackingError, match=f"run {store.single} has no predictions/val.parquet"):
        report([store.single], out)

    def full(self: Path, _: bytes) -> int:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match="No space left on device"):
            module._write(out, b"new")
    assert out.read_text() == "old"
    assert not list(store.folder.glob(".report.html*"))
