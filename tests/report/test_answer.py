"""The answer: the best run, how sure that is, and how it compares."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from helpers.pages import BETTER, row, subject

from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.paired import PairedComparison
from mobilenet_chest.report.answer import answer
from mobilenet_chest.selection.compare import compare

if TYPE_CHECKING:
    from report.conftest import Written


def numbers(sentence: str) -> list[str]:
    """Return the numbers in a sentence, in order."""
    return re.findall(r"[+−]?\d+(?:\.\d+)?", sentence)


def test_it_gives_the_metric_with_its_interval_and_the_number_of_images() -> None:
    (sentence,) = answer(subject([row("one", 0.95)]))
    assert "one: validation AUC 0.950 (" in sentence
    assert numbers(sentence) == ["0.950", "95", "0.930", "0.960", "305"]


def test_a_trial_of_folds_is_said_to_be_a_mean() -> None:
    without = [row("one", 0.95, intervals={})]
    (sentence,) = answer(subject(without))
    assert numbers(sentence) == ["0.950", "305"]
    assert "without an interval" in sentence
    (sentence,) = answer(subject(without, folds="5"))
    assert "the mean of 5 folds, without an interval" in sentence
    (sentence,) = answer(subject([row("one", 0.95)], folds="5"))
    assert numbers(sentence) == ["0.950", "5", "95", "0.930", "0.960", "305"]


def test_a_study_by_another_metric_is_answered_by_it() -> None:
    losses = {"one": 0.21, "base": 0.3}
    winner, base = (replace(row(name, 0.9), metrics={"val_loss": loss, "val_auc": 0.9, "threshold": 0.5},
                         intervals={"val_loss": Interval(loss, loss - 0.05, loss + 0.1)})
                 for name, loss in losses.items())  # fmt: skip
    lower = PairedComparison(-0.09, -0.15, -0.02, 0.004, 0.008, "better", None)
    winner = replace(winner, differences={"val_loss": lower, "val_auc": BETTER})
    first, second = answer(replace(subject([winner, base], base), metric="val_loss", direction="minimize"))
    assert "validation loss 0.210 (" in first
    assert numbers(first) == ["0.210", "95", "0.160", "0.310", "305"]
    assert "better than the baseline base: validation loss " in second
    assert numbers(second) == ["−0.090", "−0.150", "−0.020", "0.008"]


def test_ties_are_counted_and_named() -> None:
    rows = [row("one", 0.95, best=True, tied=True), *(row(f"t{n}", 0.94, tied=True) for n in range(5)), row("x", 0.7)]
    (_, ties) = answer(subject(rows))
    assert "5 of 6 others: t0, t1, t2 and 2 more" in ties
    rows = [rows[0], row("trial 7", 0.94, tied=True), row("trial 1, second attempt", 0.94, tied=True), row("x", 0.7)]
    (_, ties) = answer(subject(rows))
    assert "2 of 3 others: trial 7; trial 1, second attempt." in ties


def test_one_that_is_alone_at_the_top_is_said_to_be_better() -> None:
    rows = [row("one", 0.95, best=True), row("two", 0.7), row("three", 0.6)]
    (_, better) = answer(subject(rows))
    assert "better" in better
    assert "the 2 others" in better


def test_a_confirmed_run_that_is_not_the_highest_says_so() -> None:
    rows = [row("high", 0.96, best=True, tied=True), row("confirmed", 0.95, tied=True)]
    (_, highest) = answer(subject(rows, leader=1))
    assert "high" in highest
    assert numbers(highest) == ["0.960"]


def test_rows_of_other_images_are_no_ties() -> None:
    (_, other) = answer(subject([row("one", 0.95), row("two", 0.95, dataset="chest 2")]))
    assert "other images" in other
    assert numbers(other) == ["1"]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("better", "better than the baseline base"),
        ("worse", "worse than the baseline base"),
        ("not inferior", "not inferior to the baseline base"),
        ("cannot tell", "the baseline base"),
    ],
)
def test_the_baseline_is_answered(verdict: Any, words: str) -> None:
    base = row("base", 0.92)
    winner = row("one", 0.95, differences={"val_auc": replace(BETTER, verdict=verdict)})
    (_, against) = answer(subject([winner, base], base))
    assert f"{words}: validation AUC +0.031 (" in against
    assert numbers(against) == ["+0.031", "+0.005", "+0.057", "0.022"]
    told = {word for word in ("better", "worse", "inferior") if word in against}
    assert told == {word for word in ("better", "worse", "inferior") if word in words}


def test_unequal_selection_is_said_beside_the_verdict() -> None:
    why = "chosen from 12 trials, the baseline from 1 trial: its lead is flattered"
    winner, base = row("one", 0.95, differences={"val_auc": BETTER}, selection=why), row("base", 0.92)
    *_, unequal = answer(subject([winner, base], base))
    assert why in unequal


class TestConfirmed:
    TAGS: ClassVar = {"confirmed_run": "abc"}
    METRICS: ClassVar = {"optimism": 0.021, "optimism_low": -0.004, "optimism_high": 0.038}

    def test_it_gives_the_optimism_of_the_search(self) -> None:
        first, optimism = answer(subject([row("one", 0.95)], tags=self.TAGS, **self.METRICS))
        assert "confirmed on fresh seeds" in first
        assert numbers(optimism) == ["+0.021", "95", "−0.004", "+0.038"]

    def test_a_comparison_does_not(self) -> None:
        made = replace(subject([row("one", 0.95)]), kind="comparison", study=None)
        (sentence,) = answer(made)
        assert "one" in sentence


def test_on_the_page_it_is_what_compare_says(written: Written) -> None:
    store = written.store
    rows = {row.run_id: row for row in compare(list(store.trials), baseline=store.single)}
    interval = rows[store.trials[store.best]].intervals["val_auc"]
    (shown,) = written.page.all("div", kind="answer")
    assert f"trial {store.best}: validation AUC {interval.value:.3f} (" in shown.text
    assert numbers(shown.text)[1:6] == [
        *(f"{value:.3f}" for value in (interval.value,)), "95", f"{interval.low:.3f}", f"{interval.high:.3f}", "34"
    ]  # fmt: skip
    assert "the baseline single" in shown.text
