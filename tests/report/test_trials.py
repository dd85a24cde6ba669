"""What a sweep did: cost, importances, confirmation, trials."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import pandas as pd
from helpers.pages import row, subject
from mlflow.entities import Run

from mobilenet_chest.report.elements import Element, Folded, Paragraph, Table
from mobilenet_chest.report.subject import Subject
from mobilenet_chest.report.trials import TRIALS_SHOWN, confirmation, findings, importances, meter, search, trials
from mobilenet_chest.tracking.run_metrics import metrics_of

if TYPE_CHECKING:
    from report.conftest import Written


def study_of(made: Subject) -> Run:
    assert made.study is not None
    return made.study


def texts(elements: list[Element]) -> list[str]:
    return [element.text for element in elements if isinstance(element, Paragraph)]


class TestConfirmation:
    TAGS: ClassVar = {"confirmed_run": "abc", "best_trial": "7", "confirmed_trial": "3"}
    METRICS: ClassVar = {"best_val_auc": 0.951, "optimism": 0.021, "optimism_low": 0.004, "optimism_high": 0.038,
                         "confirmed_val_auc": 0.942, "confirmed_val_auc_crossfit": 0.938}  # fmt: skip

    def made(self, **changes: float) -> Subject:
        return subject([row("one", 0.95)], tags=self.TAGS, **self.METRICS | changes)

    def test_claim_and_what_fresh_seeds_showed(self) -> None:
        claim, choice = texts(confirmation(self.made(), study_of(self.made())))
        assert re.findall(r"[+−]?\d\.\d+|Trial \d", claim) == [
            "Trial 7",
            "0.9510",
            "0.9300",
            "+0.0210",
            "+0.0040",
            "+0.0380",
        ]
        assert re.findall(r"\d\.\d+|trial \d", choice) == ["trial 3", "0.9420", "0.9380"]

    def test_trials_are_called_as_a_person_has_seen_them(self) -> None:
        board = pd.DataFrame({"trial": ["0, second attempt", "3"], "number": [7, 3], "run_id": "x"})
        made = replace(self.made(), trials=board)
        claim, choice = texts(confirmation(made, study_of(made)))
        assert claim.startswith("Trial 0, second attempt had")
        assert choice.startswith("The fresh seeds chose trial 3:")
        (table,) = trials(board).contents
        assert isinstance(table, Table)
        assert (table.headings, table.rows) == (["trial"], [["0, second attempt"], ["3"]])

    def test_of_a_loss_it_is_the_other_way_round(self) -> None:
        losses = {name.replace("auc", "loss"): value for name, value in self.METRICS.items()}
        made = replace(self.made(**losses), metric="val_loss", direction="minimize")
        claim, _ = texts(confirmation(made, study_of(made)))
        assert re.findall(r"\d\.\d+", claim)[:2] == ["0.9510", "0.9720"]

    def test_every_fresh_seed_is_shown_on_request(self) -> None:
        made = replace(self.made(), confirmation=pd.DataFrame({"trial": [7, 3], "seed_5": [0.91234567, float("nan")]}))
        *_, folded = confirmation(made, study_of(made))
        assert isinstance(folded, Folded)
        (table,) = folded.contents
        assert isinstance(table, Table)
        assert table.rows == [["7", "0.9123"], ["3", "–"]]

    def test_without_one_the_optimism_is_unknown(self) -> None:
        made = subject([row(f"r{n}", 0.9) for n in range(12)])
        (paragraph,) = confirmation(made, study_of(made))
        assert isinstance(paragraph, Paragraph)
        assert paragraph.style == "missing"
        assert "12" in paragraph.text
        assert "study.confirm" in paragraph.text

    def test_the_baseline_is_not_counted_among_the_trials(self) -> None:
        rows = [row(f"r{n}", 0.9) for n in range(4)]
        made = subject(rows, base=rows[-1])
        assert "3" in texts(confirmation(made, study_of(made)))[0]


def test_what_the_search_says_of_itself_is_a_paragraph_each() -> None:
    made = subject([row("one", 0.95)], tags={"findings": "all trials are tied; try x\nno visible influence; try y"})
    assert texts(findings(study_of(made))) == [
        "Note: all trials are tied; try x.",
        "Note: no visible influence; try y.",
    ]
    assert findings(study_of(subject([row("one", 0.95)]))) == []


def test_before_the_end_of_the_sweep_there_is_no_cost() -> None:
    made = subject([row("one", 0.95)])
    first, second = search(made, study_of(made))
    assert isinstance(first, Paragraph)
    assert isinstance(second, Paragraph)
    assert (first.style, second.style) == ("missing", "missing")


def test_importances_need_several_results() -> None:
    made = subject([row("one", 0.95)])
    assert isinstance(importances(made, study_of(made)), Paragraph)


def test_a_meter_is_filled_by_the_share() -> None:
    (filled,) = meter(0.25).shapes
    assert filled.attributes["width"] == "25.00"


def test_at_most_a_hundred_trials_are_listed() -> None:
    (table,) = trials(pd.DataFrame({"trial": range(150), "run_id": "x", "seconds": 120.0})).contents
    assert isinstance(table, Table)
    assert len(table.rows) == TRIALS_SHOWN
    assert table.headings == ["trial", "seconds"]
    assert table.rows[0] == ["0", "2.0 min"]
    assert "100 of 150" in table.caption


def test_on_the_page_they_are_the_study_s_own(written: Written) -> None:
    store, page = written.store, written.page
    metrics = metrics_of(store.run(store.study_run))
    cost = {name: cells[0] for name, cells in page.rows("cost").items()}
    assert (cost["trials complete"], cost["trials pruned"], cost["trials failed"]) == ("2", "0", "0")
    assert cost["stage-1 epochs trained"] == f"{metrics['stage1_epochs_trained']:.0f}"
    shares = {name: cells[0] for name, cells in page.rows("importances").items()}
    assert shares == {"model.dropout": "75.0%", "stage2.lr": "25.0%"}
    assert sorted(cells[-1] for cells in page.rows("trials").values()) == ["0.2", "0.6"]
    assert "2 complete trials" in page.by_id("search").text
