"""Tables: every one that a command prints fits the width and shows its values whole, in any encoding."""

from __future__ import annotations

import io
import re
import sys

import pytest
from helpers.screens import ID, OTHER_ID, SCREENS, STUDY
from rich.cells import cell_len

from mobilenet_chest.cli.format import PLAIN_WIDTH, out
from mobilenet_chest.cli.tables import Table, folded

LINES = "│┃┡┏└┗━"
"""What a line of a table begins with."""

VALUE = re.compile(r"[+−]?\d[\d.,]* \([+−]?[\d.]+(?:–| to )[+−]?[\d.]+\)")
"""A value with its interval."""

CUT = re.compile(r"\d[\d.]*…|\([\d.]*$|…")


def printed(name: str, width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    if width is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(width))
    capsys.readouterr()
    SCREENS[name]()
    return capsys.readouterr().out


def cells(text: str) -> list[str]:
    """Return the cells of all tables, each line of a cell by itself."""
    rows = [line for line in text.splitlines() if line[0] in "│┃"]
    return [cell.strip() for row in rows for cell in row.strip("│┃").replace("┃", "│").split("│")]


@pytest.mark.parametrize("width", [80, 100, 120, 160])
@pytest.mark.parametrize("name", SCREENS)
def test_every_table_fits_and_its_values_are_whole(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(name, width, monkeypatch, capsys)
    table = [line for line in text.splitlines() if line and line[0] in LINES]
    assert table
    assert max(map(cell_len, table)) <= width
    assert "…" not in text
    wide = cells(printed(name, 1000, monkeypatch, capsys))
    whole = {cell for cell in wide if VALUE.fullmatch(cell) or cell in (ID[:8], OTHER_ID[:8])}
    assert whole <= set(cells(text))


@pytest.mark.parametrize("name", SCREENS)
def test_nothing_is_lost_in_the_narrowest(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every sign of each cell is printed, in its order, however the cell folds."""

    def columns(text: str) -> set[str]:
        found, table = set(), []
        for line in [*text.splitlines(), ""]:
            if line and line[0] in "│┃":
                table.append([cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")])
            elif not line or line[0] not in LINES or line[0] in "└":
                found |= {"".join(column).replace(" ", "") for column in zip(*table, strict=True)}
                table = []
        return found

    wide = columns(printed(name, 1000, monkeypatch, capsys))
    assert wide
    assert columns(printed(name, 80, monkeypatch, capsys)) == wide


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("name", SCREENS)
def test_every_table_in_any_encoding(name: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="mobilenet-chest.readable"))
    monkeypatch.setenv("COLUMNS", "80")
    SCREENS[name]()
    sys.stdout.flush()
    lines = raw.getvalue().decode(encoding).splitlines()
    table = [line for line in lines if line.startswith(("+--", "|"))]
    assert len(table) >= 4
    assert {len(line) for line in table} <= set(range(81))
    assert not any("?" in line for line in table if name != "docs")


def test_the_width_is_that_of_the_environment_or_100(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = Table(["text"], left=["text"])
    rows.add_row("word " * 200)
    for value, width in (("80", 80), ("200", 200), ("0", PLAIN_WIDTH), ("wide", PLAIN_WIDTH), (None, PLAIN_WIDTH)):
        if value is None:
            monkeypatch.delenv("COLUMNS")
        else:
            monkeypatch.setenv("COLUMNS", value)
        out.print(rows)
        assert max(map(len, capsys.readouterr().out.splitlines())) == width


def test_a_long_name_folds_behind_its_signs() -> None:
    assert folded(STUDY, 24).split("\n") == ["hospital-of-the-city_", "chest-films_2024-autumn.", "second_reading"]
    assert folded("two words", 5) == "two\nwords"
    assert folded("abcdefghij", 4) == "abcd\nefgh\nij"
    assert folded("胸部写真", 5) == "胸部\n写真"
    assert folded("a\nb", 9) == "a\nb"
    assert folded("", 9) == ""


def test_columns_without_room_go_below_with_the_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = Table(["run", "first value", "second value", "n"], left=["run"], title="two parts")
    rows.add_row("1a2b3c4d", "0.9811 (0.838–0.998)", "0.9152 (0.815–0.964)", "7")
    out.print(rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "two parts"
    assert [line.split() for line in lines if line.startswith("┃")] == [
        ["┃", "run", "┃", "first", "value", "┃"],
        ["┃", "run", "┃", "second", "value", "┃", "n", "┃"],
    ]


@pytest.mark.parametrize(
    ("width", "parts"),
    [
        (59, [["run", "value", "p", "", "other", "p", ""]]),
        (58, [["run", "value", "p", ""], ["run", "other", "p", ""]]),
        (28, [["run", "value", "p"], ["run", "", "other"], ["run", "p", ""]]),
    ],
)
def test_columns_of_a_group_stay_together_as_far_as_there_is_room(
    width: int, parts: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    rows = Table(["run", "value", "p", "", "other", "p", ""], left=["run", ""], group=3)
    rows.add_row("1a2b", "0.9811", "0.003", "better", "0.9152", "0.002", "worse")
    out.print(rows)
    lines = capsys.readouterr().out.splitlines()
    assert [[cell.strip() for cell in line.strip("┃").split("┃")] for line in lines if line[0] == "┃"] == parts


def test_a_value_is_whole_even_where_it_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    rows = Table(["name", "value"], left=["name"])
    rows.add_row("frozen", "0.9811 (0.838–0.998)")
    out.print(rows)
    assert "│ frozen │ 0.9811 (0.838–0.998) │" in capsys.readouterr().out.splitlines()


def test_a_cell_is_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    rows = Table(["name"], left=["name"], title="[red]title[/red]")
    rows.add_row("[bold]a[/bold] \x1b[31mb\ac")
    out.print(rows)
    text = capsys.readouterr().out
    assert "[red]title[/red]" in text
    assert "│ [bold]a[/bold]  [31mb c │" in text
