"""The learning curves of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mobilenet_chest.report.elements import Drawing, Figures, Folded, Paragraph, Table
from mobilenet_chest.report.training import TABLE_ROWS, learning_curves
from mobilenet_chest.tracking.run_metrics import metric_history

if TYPE_CHECKING:
    from report.conftest import Written


def run(epochs: int, stage1: int, best: int) -> Any:
    history = {
        epoch: {"stage": 1.0 if epoch <= stage1 else 2.0, "train_loss": 1 / epoch, "val_loss": 2 / epoch,
                "train_accuracy": 0.5, "val_accuracy": 0.6, "val_auc": 0.7}
        for epoch in range(1, epochs + 1)
    }  # fmt: skip
    return SimpleNamespace(name="run", history=history, best_epoch=best)


def test_what_is_made_of_other_runs_has_no_curves() -> None:
    (paragraph,) = learning_curves(SimpleNamespace(name="ensemble", history={}))  # type: ignore[arg-type]
    assert isinstance(paragraph, Paragraph)
    assert "ensemble" in paragraph.text


@pytest.mark.parametrize(("stage1", "lines"), [(2, 3), (0, 2), (5, 2)])
def test_the_end_of_stage_1_is_drawn_where_there_are_two_stages(stage1: int, lines: int) -> None:
    figures, _ = learning_curves(run(5, stage1, best=3))
    assert isinstance(figures, Figures)
    for figure in figures.contents:
        drawing: Drawing = figure.content  # type: ignore[attr-defined]
        assert sum(shape.tag == "polyline" for shape in drawing.shapes) == lines
        assert sum(shape.tag == "circle" for shape in drawing.shapes) == 1
        assert "epoch 3 of 5" in drawing.description


def test_a_long_training_is_thinned_but_keeps_first_best_and_last_epoch() -> None:
    _, folded = learning_curves(run(100, 10, best=37))
    assert isinstance(folded, Folded)
    (table,) = folded.contents
    assert isinstance(table, Table)
    epochs = [int(str(cells[0])) for cells in table.rows]
    assert {1, 37, 100} <= set(epochs)
    assert len(epochs) <= TABLE_ROWS + 2
    assert {len(cells) for cells in table.rows} == {len(table.headings)}


def test_the_table_on_the_page_is_the_run_s_history(written: Written) -> None:
    store = written.store
    epochs = written.page.rows("epochs")
    assert list(epochs) == ["1", "2", "3", "4", "5", "6"]
    losses = metric_history(store.client, store.trials[store.best], "train_loss")
    assert [float(cells[1]) for cells in epochs.values()] == pytest.approx([p.value for p in losses], abs=5e-5)
