"""The leaderboard: its rows, its bars, and the differences from the baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from helpers.pages import BETTER, row, subject

from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.report.elements import Comparison, Element, Figure, Paragraph, Table
from mobilenet_chest.report.leaderboard import BAR_MARGIN, BAR_WIDTH, SHOWN, across, bar, leaderboard
from mobilenet_chest.selection.compare import compare
from mobilenet_chest.selection.rows import REPORTED

if TYPE_CHECKING:
    from report.conftest import Written


def table_of(elements: list[Element]) -> Table:
    figure = elements[0]
    assert isinstance(figure, Figure)
    assert isinstance(figure.content, Table)
    return figure.content


def test_it_is_cut_but_never_without_leader_and_baseline() -> None:
    rows = [row(f"r{n}", 0.9 - n / 1000) for n in range(60)]
    table = table_of(leaderboard(subject(rows, base=rows[-1], leader=50), reported=False))
    assert len(table.rows) == SHOWN + 2
    assert "27 of 60 rows" in table.caption
    assert [cells[0] for cells in table.rows[-2:]] == ["r50", "r59 (baseline)"]


def test_the_metric_of_the_study_comes_first_among_the_differences() -> None:
    winner, base = row("one", 0.9, differences={"val_loss": BETTER}), row("base", 0.9)
    winner, base = (replace(r, metrics=r.metrics | {"val_loss": 0.2}) for r in (winner, base))
    made = replace(subject([winner, base], base), metric="val_loss", direction="minimize")
    table = table_of(leaderboard(made, reported=True))
    compared = [str(heading) for heading in table.headings if "baseline" in str(heading)]
    assert [heading.removesuffix(" minus baseline") for heading in compared] == [
        "validation loss", "validation AUC", "cross-fitted validation accuracy"
    ]  # fmt: skip
    assert len(table.rows) == 2 + len(REPORTED)
    assert {len(cells) for cells in table.rows} == {len(table.headings)}
    assert isinstance(table.rows[0][3], Comparison)


def test_rows_without_intervals_have_no_bars() -> None:
    table = table_of(leaderboard(subject([row("one", 0.95, intervals={})]), reported=False))
    assert table.rows[0][1:3] == ["0.950", ""]
    assert table.headings[2] == ""


def test_unequal_selection_is_said_below() -> None:
    why = "chosen from 12 trials, the baseline from 1 trial: its lead is flattered"
    winner, other, base = (row(name, 0.9, selection=why if name != "base" else None) for name in ("one", "two", "base"))
    (_, all_but_one) = leaderboard(subject([winner, other, base], base), reported=False)
    assert isinstance(all_but_one, Paragraph)
    assert why in all_but_one.text
    assert "one, two" not in all_but_one.text
    (_, named) = leaderboard(subject([winner, replace(other, selection=None), base], base), reported=False)
    assert isinstance(named, Paragraph)
    assert named.text.startswith("one: ")


def test_bars_are_to_one_scale() -> None:
    ends = (0.5, 1.0)
    assert across(0.5, ends) == BAR_MARGIN
    assert across(1.0, ends) == BAR_WIDTH - BAR_MARGIN
    assert across(0.75, ends) == BAR_WIDTH / 2
    guide, interval, dot = bar(Interval(0.75, 0.5, 1.0), 1.0, ends).shapes
    assert guide.attributes["d"].startswith("M194.0 ")
    assert interval.attributes["d"].startswith("M6.0 8H194.0")
    assert dot.attributes["cx"] == "100.0"


def test_on_the_page_it_is_what_compare_says(written: Written) -> None:
    store = written.store
    rows = {row.run_id: row for row in compare(list(store.trials), baseline=store.single)}
    board = written.page.rows("leaderboard-rows")
    assert len(board) == 3 + len(REPORTED)
    for trial, run_id in enumerate(store.trials):
        (cells,) = [cells for header, cells in board.items() if f"trial {trial}" in header]
        interval, verdict = rows[run_id].intervals["val_auc"], rows[run_id].differences["val_auc"]
        assert cells[0] == f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
        assert cells[2].startswith(f"{verdict.verdict}:{verdict.value:+.3f}".replace("-", "−"))
        assert cells[-1] == run_id[:8]
    assert sum("reported, not reproduced" in header for header in board) == len(REPORTED)
