"""The elements of the page, each by itself in HTML."""

from __future__ import annotations

import pytest
from helpers.pages import Page

from mobilenet_chest.report import elements
from mobilenet_chest.report.elements import Comparison, Count, Element, Figure, Finding, Folded, Paragraph, Table
from mobilenet_chest.report.page import TEMPLATES, show

CLASSES = [cls for cls in vars(elements).values() if isinstance(cls, type) and issubclass(cls, Element)][1:]


@pytest.mark.parametrize("element", CLASSES, ids=lambda cls: cls.__name__)
def test_every_element_has_a_macro(element: type[Element]) -> None:
    assert callable(getattr(TEMPLATES.get_template("elements.html.j2").module, element.__name__.lower()))


def test_a_table_names_its_columns_and_rows_and_escapes_both() -> None:
    page = Page(show(Table("key", "<i>", ["a", "b"], [["<b>", Count(3, correct=True)]])))
    assert page.by_id("key").text == "<i>"
    assert page.rows("key") == {"<b>": ["3"]}
    assert [(th.attributes["scope"], th.text) for th in page.all("th")] == [("col", "a"), ("col", "b"), ("row", "<b>")]
    assert page.all("td", kind="amount")
    assert page.all("span", kind="cell right")


def test_only_the_columns_of_text_are_aligned_to_the_left() -> None:
    page = Page(show(Table("key", "c", ["a", "b", "c"], [["1", "2", "3"]], text_columns=2)))
    assert [cell.attributes["class"] for cell in page.all("td")] == ["words", "amount"]
    assert [cell.attributes["class"] for cell in page.all("th", scope="col")] == ["words", "words", "amount"]


def test_a_figure_without_title_and_legend_has_neither() -> None:
    table = Table("key", "c", ["a"], [])
    page = Page(show(Figure("how to read it", table)))
    assert page.all("figcaption")[0].text == "how to read it"
    assert not page.all("h3", "ul")
    titled = Page(show(Figure("", table, "Title", [("first", "one"), ("second", "two")])))
    assert titled.all("h3")[0].text == "Title"
    assert [item.text for item in titled.all("li")] == ["one", "two"]


def test_texts_are_escaped_wherever_they_stand() -> None:
    for element in (Paragraph("<x>"), Folded("<x>", [Paragraph("<x>", "soft")]), Comparison("<x>", "<x>"),
                    Finding("warning", "<x>")):  # fmt: skip
        assert not Page(show(element)).all("x")
        assert "&lt;x&gt;" in show(element)
