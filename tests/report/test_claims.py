"""The claims on the page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mobilenet_chest.evaluation.claim import Condition
from mobilenet_chest.report.claims import claims_shown
from mobilenet_chest.report.elements import Code, Paragraph, Table
from mobilenet_chest.selection.claim import Answer, Claim, Measured

if TYPE_CHECKING:
    from report.conftest import Written

RULE = Condition("auc", ">=", 0.9)
CLAIM = Claim(1, RULE.text, [RULE], "a" * 32, 0.6, "d" * 16, (40, 60), None, None, {}, 0.8, None,
              "2026-01-02T03:04:05+00:00", "ann@chest", "t", "b" * 64)  # fmt: skip
ANSWER = Answer("held", [Measured(RULE.text, 0.95, 0.91, 0.97, "held")], 100, 1, 2, 0, 1, 1, 0.03, None, "b" * 64)


def test_claims_have_a_row_each() -> None:
    undecided = replace(ANSWER, verdict="not decidable", chance_false=None)
    recorded = [replace(CLAIM, answer=ANSWER), replace(CLAIM, number=2, answer=undecided, openings_before=1),
                replace(CLAIM, number=3, power=None), replace(CLAIM, number=4, answer=ANSWER, edited=True)]  # fmt: skip
    recorded[2] = replace(recorded[2], cohort="clinic-b")
    table, *tried = claims_shown(recorded)
    assert isinstance(table, Table)
    assert [list(row[3:8]) for row in table.rows] == [
        ["held", "auc 0.950 (0.910 to 0.970)", "yes", "0.80", "0.030"],
        ["not decidable with 100 images", "auc 0.950 (0.910 to 0.970)", "no, opened once before", "0.80", "–"],
        ["no answer yet", "–", "yes", "–", "–"],
        ["edited, proves nothing; was: held", "auc 0.950 (0.910 to 0.970)", "yes", "0.80", "0.030"],
    ]
    assert table.rows[2][2] == "auc >= 0.9, on cohort clinic-b"
    assert table.rows[0][8:] == [Code("a" * 32), Code("b" * 16)]
    assert [type(each) for each in tried] == [Paragraph, Paragraph]


def test_the_page_shows_the_claim_and_its_answer(written: Written) -> None:
    (cells,) = written.page.rows("claim-rows").values()
    assert cells[1] == "auc >= 0.01"
    assert cells[2] == "held"
    assert cells[4] == "yes"
    assert cells[7] == written.store.trials[written.store.best]


def test_without_a_claim_that_is_said() -> None:
    (paragraph,) = claims_shown([])
    assert isinstance(paragraph, Paragraph)
    assert paragraph.style == "missing"
