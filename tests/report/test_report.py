"""The page about a study: what is on it, that its figures are the runs' own, and that it needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers.pages import Page

from mobilenet_chest.evaluation.delong import auc_interval
from mobilenet_chest.report import Report, report
from mobilenet_chest.selection.compare import REPORTED, compare
from mobilenet_chest.selection.evaluate import evaluate
from mobilenet_chest.tracking.artifacts import stored_predictions

if TYPE_CHECKING:
    from helpers.stores import Store

SECTIONS = ["leaderboard", "training", "discrimination", "calibration", "predictions", "mistakes", "search", "data",
            "test", "provenance"]  # fmt: skip


@pytest.fixture(scope="module")
def made(finished: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Report, Page]]:
    """A page about the study with the single training as baseline, after an opening of the test split."""
    from helpers.stores import STUDY, copied, working_in

    copy = copied(finished, tmp_path_factory.mktemp("report") / "store")
    with working_in(copy.folder):
        for name, share in (("model.dropout", 0.75), ("stage2.lr", 0.25)):
            copy.client.log_metric(copy.study_run, f"importance.{name}", share)
        evaluate(copy.trials[copy.best], "test")
        out = copy.folder / "report.html"
        result = report([STUDY], out, baseline=copy.single, reported=True)
        yield copy, result, Page(out.read_text(encoding="utf-8"))


def test_the_sections_are_there_in_order_and_the_contents_lead_to_them(made: tuple[Store, Report, Page]) -> None:
    _, _, page = made
    assert [section.attributes["id"] for section in page.all("section")] == SECTIONS
    links = [link.attributes["href"] for link in page.all("a")]
    assert links == ["#main", *(f"#{name}" for name in SECTIONS)]
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))


def test_headings_go_down_a_level_at_a_time(made: tuple[Store, Report, Page]) -> None:
    _, _, page = made
    levels = [int(heading.tag[1]) for heading in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_nothing_refers_to_anything_outside_of_the_page(made: tuple[Store, Report, Page]) -> None:
    store, _, page = made
    assert not page.all("script", "link", "iframe", "object", "form")
    assert all(image.attributes["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert not re.search(r"https?:|url\(|@import|\son\w+=", page.source)
    assert str(store.folder) not in page.source


def test_every_figure_and_table_says_what_it_is(made: tuple[Store, Report, Page]) -> None:
    _, _, page = made
    drawings = page.all("svg", role="img")
    assert len(drawings) == 6
    for drawing in drawings:
        title, description = (page.by_id(key) for key in drawing.attributes["aria-labelledby"].split())
        assert (title.tag, description.tag) == ("title", "desc")
        assert title.text
        assert len(description.text) > 50
    assert {svg.attributes["aria-hidden"] for svg in page.all("svg") if "role" not in svg.attributes} == {"true"}
    assert len(page.all("caption")) == len(page.all("table")) == len(page.all("div", kind="scroll", tabindex="0"))
    assert {heading.attributes.get("scope") for heading in page.all("th")} == {"col", "row"}
    assert all(image.attributes["alt"] for image in page.all("img"))


def test_the_answer_and_the_leaderboard_are_what_compare_says(made: tuple[Store, Report, Page]) -> None:
    store, _, page = made
    best, other = store.trials[store.best], store.trials[1 - store.best]
    rows = {row.run_id: row for row in compare(list(store.trials), baseline=store.single)}
    own = rows[best].intervals["val_auc"]
    (answer,) = page.all("div", kind="answer")
    assert (
        f"The best of this study is trial {store.best}: validation AUC {own.value:.3f} (95% interval {own.low:.3f} to"
        in answer.text
    )
    assert "34 validation images" in answer.text
    assert "the baseline single" in answer.text
    board = page.rows("leaderboard-rows")
    assert len(board) == 3 + len(REPORTED)
    for run_id, name in ((best, f"trial {store.best}"), (other, f"trial {1 - store.best}")):
        (cells,) = [cells for header, cells in board.items() if name in header]
        interval, verdict = rows[run_id].intervals["val_auc"], rows[run_id].differences["val_auc"]
        assert cells[0] == f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
        assert cells[2].startswith(f"{verdict.verdict}:{verdict.value:+.3f}".replace("-", "−"))
        assert cells[-1] == run_id
    assert sum("reported, not reproduced" in header for header in board) == len(REPORTED)


def test_the_figures_are_of_the_stored_predictions(made: tuple[Store, Report, Page]) -> None:
    store, _, page = made
    run = store.run(store.trials[store.best])
    stored, threshold = stored_predictions(store.client, run, "val"), run.data.metrics["threshold"]
    truth, predicted = stored["label"] == 1, stored["probability_tta"] >= threshold
    assert [[int(cell) for cell in cells] for cells in page.rows("confusion").values()] == [
        [sum(~truth & ~predicted), sum(~truth & predicted), sum(~truth)],
        [sum(truth & ~predicted), sum(truth & predicted), sum(truth)],
    ]
    assert f"{run.data.metrics['val_auc_tta']:.3f} (95% interval" in page.by_id("discrimination").text
    curve = page.rows("threshold-rows")
    assert float(curve["0.50"][0]) == pytest.approx(run.data.metrics["val_accuracy_tta"], abs=5e-4)
    epochs = page.rows("epochs")
    assert list(epochs) == ["1", "2", "3", "4", "5", "6"]
    losses = store.client.get_metric_history(run.info.run_id, "train_loss")
    assert [float(cells[1]) for cells in epochs.values()] == pytest.approx([p.value for p in losses], abs=5e-5)


def test_the_pictures_are_those_of_the_run_s_own_grid_and_the_surest_mistakes(made: tuple[Store, Report, Page]) -> None:
    store, _, page = made
    run = store.run(store.trials[store.best])
    stored, threshold = stored_predictions(store.client, run, "val"), run.data.metrics["threshold"]
    stored["right"] = (stored["probability_tta"] >= threshold) == (stored["label"] == 1)
    confidence = np.where(
        stored["probability_tta"] >= threshold, stored["probability_tta"], 1 - stored["probability_tta"]
    )
    alts = [image.attributes["alt"] for image in page.all("img")]
    chosen = np.sort(np.random.default_rng(store.config().seed).permutation(len(stored))[:20])
    assert [int(re.findall(r"row (\d+)", alt)[0]) for alt in alts[:20]] == stored["row"][chosen].tolist()
    assert [": right." in alt for alt in alts[:20]] == stored["right"][chosen].tolist()
    classes = [
        item.attributes["class"] for item in page.all("li") if item.attributes.get("class") in ("right", "wrong")
    ]
    assert classes == ["right" if ": right." in alt else "wrong" for alt in alts]
    wrong = stored[~stored["right"]].assign(confidence=confidence[~stored["right"]])
    surest = wrong.sort_values("confidence", ascending=False, kind="stable")["row"][:10]
    assert [int(re.findall(r"row (\d+)", alt)[0]) for alt in alts[20:]] == surest.tolist()


def test_what_the_sweep_cost_and_which_parameter_mattered(made: tuple[Store, Report, Page]) -> None:
    store, _, page = made
    figures = store.run(store.study_run).data.metrics
    cost = {name: cells[0] for name, cells in page.rows("cost").items()}
    assert (cost["trials complete"], cost["trials pruned"], cost["trials failed"]) == ("2", "0", "0")
    assert cost["stage-1 epochs trained"] == f"{figures['stage1_epochs_trained']:.0f}"
    shares = {name: cells[0] for name, cells in page.rows("importances").items()}
    assert shares == {"model.dropout": "75.0%", "stage2.lr": "25.0%"}
    assert sorted(cells[-1] for cells in page.rows("trials").values()) == ["0.2", "0.6"]
    assert "2 complete trials looks better than it is" in page.by_id("search").text


def test_the_data_and_the_openings_of_the_test_split(made: tuple[Store, Report, Page]) -> None:
    store, _, page = made
    data = page.rows("rows")
    assert {split: cells[0] for split, cells in data.items()} == {"train": "68", "val": "34"}
    (opening,) = page.rows("ledger").values()
    run = store.run(store.trials[store.best])
    tested = stored_predictions(store.client, run, "test")
    scored = auc_interval(tested["label"].to_numpy(), tested["probability_tta"].to_numpy())
    assert opening[2] == f"{run.data.metrics['test_auc_tta']:.3f} ({scored.low:.3f} to {scored.high:.3f})"
    assert opening[6] == run.info.run_id
    assert "opened once" in page.by_id("test").text
    assert run.data.tags["data_digest"] in page.by_id("provenance").text


def test_it_is_an_artifact_of_the_study_and_small(made: tuple[Store, Report, Page]) -> None:
    store, result, page = made
    assert result.run_id == store.study_run
    logged = Path(store.client.download_artifacts(store.study_run, "report.html"))
    assert logged.read_text(encoding="utf-8") == page.source == result.out.read_text(encoding="utf-8")
    assert result.size == result.out.stat().st_size < 1_000_000
