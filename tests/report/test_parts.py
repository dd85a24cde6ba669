"""Axes and ticks, cells and sentences: the parts of the page, each by itself."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from markupsafe import Markup, escape

from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.paired import PairedComparison
from mobilenet_chest.report import leaderboard, markup, svg, trials
from mobilenet_chest.report.material import Material
from mobilenet_chest.selection.compare import Row


class TestAxes:
    AXES = svg.Axes((0, 10), (-1, 1), "x", "y")

    def test_the_corners_are_inside_the_margins(self) -> None:
        assert self.AXES.at(0, -1) == (svg.LEFT, svg.HEIGHT - svg.BOTTOM)
        assert self.AXES.at(10, 1) == (svg.WIDTH - svg.RIGHT, svg.TOP)

    def test_the_middle_is_in_the_middle(self) -> None:
        across, down = self.AXES.at(5, 0)
        assert across == (svg.LEFT + svg.WIDTH - svg.RIGHT) / 2
        assert down == (svg.TOP + svg.HEIGHT - svg.BOTTOM) / 2

    def test_what_lies_outside_is_drawn_at_the_edge(self) -> None:
        assert self.AXES.at(99, -99) == self.AXES.at(10, -1)

    def test_a_band_goes_out_along_one_line_and_back_along_the_other(self) -> None:
        drawn = self.AXES.band([(0, -1), (10, -1)], [(0, 1), (10, 1)], "first")
        corners = [self.AXES.at(*point) for point in ((0, -1), (10, -1), (10, 1), (0, 1))]
        assert " ".join(f"{x:.1f},{y:.1f}" for x, y in corners) in drawn

    def test_labels_are_escaped(self) -> None:
        assert "<b>" not in svg.Axes((0, 1), (0, 1), "<b>", "&").frame()


def test_ticks_are_round_and_inside() -> None:
    assert svg.ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert svg.ticks(0.7, 12.3, whole=True) == [2, 4, 6, 8, 10, 12]
    assert svg.ticks(0.501, 0.514) == [0.502, 0.504, 0.506, 0.508, 0.51, 0.512, 0.514]


def test_an_axis_has_a_length_even_for_one_value() -> None:
    assert svg.around([2, 4], 0.1) == pytest.approx((1.8, 4.2))
    for alone in (0.0, 0.5, -3.0):
        low, high = svg.around([alone, alone])
        assert low < alone < high


def test_figures_in_words() -> None:
    assert [markup.number(value) for value in (0.98765, None, float("nan"))] == ["0.9877", "–", "–"]
    assert (markup.signed(-0.0123, 3), markup.signed(0.5, 1)) == ("−0.012", "+0.5")
    assert (markup.probability(0.0004), markup.probability(0.25)) == ("p\u00a0<\u00a00.001", "p\u00a0=\u00a00.250")
    assert [markup.duration(s) for s in (9, 600, 7200)] == ["9 s", "10.0 min", "2.0 h"]


def test_a_table_names_its_columns_and_rows_and_escapes_both() -> None:
    made = markup.table("key", "<i>", ["a", "b"], [["<b>", "1"]])
    assert '<caption id="key">&lt;i&gt;</caption>' in made
    assert '<th scope="row">&lt;b&gt;</th><td class="amount">1</td>' in made
    assert isinstance(made, Markup)


def row(name: str, auc: float, **more: Any) -> Row:
    interval = Interval(auc, auc - 0.02, auc + 0.01)
    made = Row(
        name, name, "run", "model", 1, {"val_auc": auc, "threshold": 0.5}, "chest 1", intervals={"val_auc": interval}
    )
    return replace(made, **more)


def material(
    rows: list[Row], base: Row | None = None, leader: int = 0, tags: dict[str, str] | None = None, **study: float
) -> Material:
    """A study's, whose leader is one of the rows; ``tags`` and ``study`` are its own run's."""
    run: Any = SimpleNamespace(info=SimpleNamespace(run_id=rows[leader].run_id))
    of_study: Any = SimpleNamespace(data=SimpleNamespace(metrics=study, tags=tags or {}))
    one: Any = SimpleNamespace(run=run, images_scored="305 validation images", folds=None)
    return Material("study", ("s",), "val_auc", "maximize", of_study, rows, base, one, None, None, None)


VERDICT = PairedComparison(0.031, 0.005, 0.057, 0.011, 0.022, "better", None)


class TestAnswer:
    def test_it_gives_the_figure_with_its_interval_and_n(self) -> None:
        said = leaderboard.answer(material([row("one", 0.95)]))
        assert "one: validation AUC 0.950 (95% interval 0.930 to 0.960, 305 validation images)." in said

    def test_a_trial_of_folds_is_said_to_be_a_mean(self) -> None:
        made = material([row("one", 0.95, intervals={})])
        assert "validation AUC 0.950 (without an interval; 305 validation images)." in leaderboard.answer(made)
        folded = replace(made, leader=SimpleNamespace(**vars(made.leader) | {"folds": "5"}))
        said = "validation AUC 0.950 (the mean of 5 folds, without an interval; 305 validation images)."
        assert said in leaderboard.answer(folded)
        with_one = replace(folded, rows=[row("one", 0.95)])
        said = "validation AUC 0.950 (the mean of 5 folds, 95% interval 0.930 to 0.960, 305 validation images)."
        assert said in leaderboard.answer(with_one)

    def test_a_study_by_another_metric_is_answered_by_it(self) -> None:
        losses = {"one": 0.21, "base": 0.3}
        own, base = (replace(row(name, 0.9), metrics={"val_loss": loss, "val_auc": 0.9, "threshold": 0.5},
                             intervals={"val_loss": Interval(loss, loss - 0.05, loss + 0.1)})
                     for name, loss in losses.items())  # fmt: skip
        apart = PairedComparison(-0.09, -0.15, -0.02, 0.004, 0.008, "better", None)
        own = replace(own, differences={"val_loss": apart, "val_auc": VERDICT})
        made = replace(material([own, base], base), metric="val_loss", direction="minimize")
        said = leaderboard.answer(made)
        assert "validation loss 0.210 (95% interval 0.160 to 0.310, 305 validation images)." in said
        assert "is better than the baseline base: validation loss −0.090 (−0.150 to −0.020, p\xa0=\xa00.008)." in said
        headings = leaderboard.leaderboard(made, reported=True)
        places = [headings.index(escape(f"{words}, less the baseline's"))
                  for words in ("validation loss", "validation AUC", "cross-fitted validation accuracy")]  # fmt: skip
        assert places == sorted(places)
        assert headings.count("<tr>") - 1 == 2 + 6

    def test_ties_are_counted_and_named(self) -> None:
        rows = [
            row("one", 0.95, best=True, tied=True),
            *(row(f"t{n}", 0.94, tied=True) for n in range(5)),
            row("x", 0.7),
        ]
        assert "it cannot be told from 5 of 6 others: t0, t1, t2 and 2 more." in leaderboard.answer(material(rows))

    def test_one_that_is_alone_at_the_top_is_said_to_be_better(self) -> None:
        rows = [row("one", 0.95, best=True), row("two", 0.7), row("three", 0.6)]
        assert "it is better beyond chance than the 2 others." in leaderboard.answer(material(rows))

    def test_a_confirmed_run_that_is_not_the_highest_says_so(self) -> None:
        rows = [row("high", 0.96, best=True, tied=True), row("confirmed", 0.95, tied=True)]
        said = leaderboard.answer(material(rows, leader=1))
        assert "The highest validation AUC, 0.960, is that of high, which cannot be told from it." in said

    def test_rows_of_other_images_are_no_ties(self) -> None:
        said = leaderboard.answer(material([row("one", 0.95), row("two", 0.95, dataset="chest 2")]))
        assert "Against 1 more nothing can be said: they were scored on other images." in said
        assert "beyond chance" not in said

    @pytest.mark.parametrize(
        ("verdict", "words"),
        [
            (
                "better",
                "It is better than the baseline base: validation AUC +0.031 (+0.005 to +0.057, p",
            ),
            ("worse", "It is worse than the baseline base: "),
            ("not inferior", "It is not inferior to the baseline base: "),
            ("cannot tell", "It cannot be told from the baseline base: "),
        ],
    )
    def test_the_baseline_is_answered(self, verdict: Any, words: str) -> None:
        base = row("base", 0.92)
        own = row("one", 0.95, differences={"val_auc": replace(VERDICT, verdict=verdict)})
        assert words in leaderboard.answer(material([own, base], base))

    def test_unequal_selection_is_said_beside_the_verdict(self) -> None:
        why = "chosen from 12 trials, the baseline from 1 trial: its lead is flattered"
        own, base = row("one", 0.95, differences={"val_auc": VERDICT}, selection=why), row("base", 0.92)
        made = material([own, base], base)
        assert f"The two were not chosen from equally much: {why}." in leaderboard.answer(made)
        assert f"one: {why}." in leaderboard.leaderboard(made, reported=False)


class TestLeaderboard:
    def test_it_is_cut_but_never_without_leader_and_baseline(self) -> None:
        rows = [row(f"r{n}", 0.9 - n / 1000) for n in range(60)]
        drawn = leaderboard.leaderboard(material(rows, base=rows[-1], leader=50), reported=False)
        assert drawn.count("<tr>") == 1 + leaderboard.SHOWN + 2
        assert "27 of 60 rows" in drawn
        assert "r59 (baseline)" in drawn

    def test_bars_are_to_one_scale(self) -> None:
        ends = (0.5, 1.0)
        assert leaderboard._across(0.5, ends) == 6
        assert leaderboard._across(1.0, ends) == leaderboard.BAR_WIDTH - 6
        assert leaderboard._across(0.75, ends) == leaderboard.BAR_WIDTH / 2


class TestConfirmation:
    TAGS: ClassVar = {"confirmed_run": "abc", "best_trial": "7", "confirmed_trial": "3"}
    FIGURES: ClassVar = {"best_val_auc": 0.951, "optimism": 0.021, "optimism_low": 0.004, "optimism_high": 0.038,
                         "confirmed_val_auc": 0.942, "confirmed_val_auc_crossfit": 0.938}  # fmt: skip

    def test_claim_and_what_fresh_seeds_showed(self) -> None:
        said = trials.confirmation(material([row("one", 0.95)], tags=self.TAGS, **self.FIGURES))
        assert "Trial 7 claimed val_auc 0.9510; trained again on fresh seeds it reached 0.9300 in the mean." in said
        assert "Optimism: +0.0210 (95% interval +0.0040 to +0.0380)." in said
        assert "chose trial 3: val_auc 0.9420 in the mean, 0.9380 cross-fitted over that choice." in said

    def test_the_answer_says_it_too(self) -> None:
        said = leaderboard.answer(material([row("one", 0.95)], tags=self.TAGS, **self.FIGURES))
        assert "The best of this study, confirmed on fresh seeds, is one: " in said
        assert "What the search itself claimed was too good by +0.021 (+0.004 to +0.038)." in said

    def test_of_a_loss_it_is_the_other_way_round(self) -> None:
        loss = {name.replace("auc", "loss"): value for name, value in self.FIGURES.items()}
        made = replace(material([row("one", 0.95)], tags=self.TAGS, **loss), metric="val_loss", direction="minimize")
        assert "claimed val_loss 0.9510; trained again on fresh seeds it reached 0.9720" in trials.confirmation(made)

    def test_without_one_the_optimism_is_not_known(self) -> None:
        said = trials.confirmation(material([row(f"r{n}", 0.9) for n in range(12)]))
        assert "The best of 12 complete trials looks better than it is" in said

    def test_before_the_sweep_s_end_there_is_no_cost(self) -> None:
        first, second = trials.everything(material([row("one", 0.95)]))
        assert "One trial is complete" in first
        assert "has not come to its end" in second
