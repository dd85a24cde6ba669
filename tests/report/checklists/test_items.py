"""The items of the checklists: their numbers, their order, and how they are written."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from itertools import groupby

import pytest

from mobilenet_chest.report.checklists.items import AUTHOR, SOURCES, Item, Name, items, markdown, table

TRIPOD_AI = [
    "1", "2", "3a", "3b", "3c", "4", "5a", "5b", "6a", "6b", "6c", "7", "8a", "8b", "8c", "9a", "9b", "9c", "10", "11",
    "12a", "12b", "12c", "12d", "12e", "12f", "12g", "13", "14", "15", "16", "17", "18a", "18b", "18c", "18d", "18e",
    "18f", "19", "20a", "20b", "20c", "21", "22", "23a", "23b", "24", "25", "26", "27a", "27b", "27c",
]  # fmt: skip
"""Numbers of the items of TRIPOD+AI (BMJ 2024;385:e078378): 27 main items, 52 with their parts."""

NUMBERS: dict[Name, list[str]] = {"tripod-ai": TRIPOD_AI, "claim": [str(number) for number in range(1, 45)]}

KNOWN: defaultdict[str, str] = defaultdict(lambda: "a fact")


@pytest.mark.parametrize("name", SOURCES)
def test_every_official_item_is_there_in_order(name: Name) -> None:
    filled = items(name, KNOWN)
    assert [item.number for item in filled] == NUMBERS[name]
    assert all(item.part and item.topic.endswith(".") and item.text for item in filled)
    assert len({item.topic for item in filled}) == len(filled)
    parts = [part for part, _ in groupby(item.part for item in filled)]
    assert len(parts) == len(set(parts))  # each part of the paper is in one place


@pytest.mark.parametrize("name", SOURCES)
def test_what_nobody_knows_is_for_the_author(name: Name) -> None:
    filled = items(name, defaultdict(str))
    assert {item.text for item in filled} == {AUTHOR}
    assert {item.state for item in filled} == {AUTHOR}


def test_a_fact_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        items("claim", {})


def test_an_answer_says_what_the_author_has_to_add() -> None:
    item = Item("5b", "Methods", "When.", "in 2019", "the month")
    assert (item.state, item.text) == ("partly filled", "in 2019. For the author: the month")
    assert (Item("1", "Title", "A title.", "known", "").state) == "filled"


HOSTILE = 'a | b\n<img src=x> *bold* `code` [link](x) \\ & "quoted", =1+1'


def test_markdown_shows_a_text_as_it_is() -> None:
    page = markdown("claim", [Item("1", "Title", "A title.", HOSTILE, "")], HOSTILE)
    lines = page.splitlines()
    assert lines[0].startswith("# CLAIM 2024: a \\| b &lt;img src=x> \\*bold\\* \\`code\\`")
    (row,) = (line for line in lines if line.startswith("| 1 |"))
    assert len(row.replace("\\|", "").split("|")) == 6
    assert "\\[link\\](x) \\\\ &amp; " in row
    assert "https://doi.org/10.1148/ryai.240300" in page


def test_csv_gives_a_text_back() -> None:
    (row,) = csv.DictReader(io.StringIO(table([Item("1", "Title", "A title.", HOSTILE, "")])))
    assert row == {"number": "1", "part": "Title", "topic": "A title.", "state": "filled", "answer": HOSTILE}
