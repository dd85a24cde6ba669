"""The page as a whole: its sections, its links, and that it needs nothing else."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.pages import Page

from mobilenet_chest.report import report

if TYPE_CHECKING:
    from helpers.stores import Store
    from report.conftest import Written

SECTIONS = ["leaderboard", "training", "discrimination", "calibration", "abstention", "benefit", "predictions",
            "mistakes", "search", "data", "test", "claims", "provenance"]  # fmt: skip

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=\"alert('2')\">{0}%s{{ 7 * 7 }}{% x %}"


def page_of(out: Path) -> Page:
    return Page(out.read_text(encoding="utf-8"))


def test_the_sections_are_there_in_order_and_the_contents_lead_to_them(written: Written) -> None:
    page = written.page
    assert [section.attributes["id"] for section in page.all("section")] == SECTIONS
    links = [link.attributes["href"] for link in page.all("a")]
    assert links == ["#main", *(f"#{name}" for name in SECTIONS)]
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))


def test_headings_go_down_a_level_at_a_time(written: Written) -> None:
    levels = [int(heading.tag[1]) for heading in written.page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_nothing_refers_to_anything_outside_of_the_page(written: Written) -> None:
    page = written.page
    assert not page.all("script", "link", "iframe", "object", "form")
    assert all(image.attributes["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert not re.search(r"https?:|url\(|@import|\son\w+=", page.source)
    assert str(written.store.folder) not in page.source


def test_every_figure_and_table_says_what_it_is(written: Written) -> None:
    page = written.page
    drawings = page.all("svg", role="img")
    assert len(drawings) == 9
    for drawing in drawings:
        title, description = (page.by_id(key) for key in drawing.attributes["aria-labelledby"].split())
        assert (title.tag, description.tag) == ("title", "desc")
        assert title.text
        assert len(description.text) > 50
    assert {svg.attributes["aria-hidden"] for svg in page.all("svg") if "role" not in svg.attributes} == {"true"}
    assert len(page.all("caption")) == len(page.all("table")) == len(page.all("div", kind="scroll", tabindex="0"))
    assert {heading.attributes.get("scope") for heading in page.all("th")} == {"col", "row"}
    assert all(image.attributes["alt"] for image in page.all("img"))


def test_a_run_s_page_escapes_its_name_and_leaves_out_what_a_run_does_not_have(store: Store) -> None:
    store.client.update_run(store.single, name=HOSTILE)
    store.client.set_tag(store.single, "git_commit", HOSTILE)
    store.data.unlink()
    out = store.folder / "one.html"
    made = report([store.single], out)
    page = page_of(out)
    assert made.run_id == store.single
    assert page.all("h1")[0].text == f"Run {HOSTILE}"
    assert HOSTILE in page.by_id("provenance").text
    assert not page.all("script", "img")
    assert "search" not in [section.attributes["id"] for section in page.all("section")]
    # predictions are there without the file, pictures are not
    assert page.rows("confusion")
    for section in ("predictions", "data"):
        assert "chest.npz" in page.by_id(section).text
    assert not page.all("caption", id="rows")
    assert not page.all("caption", id="ledger")


def test_several_names_are_a_comparison(store: Store) -> None:
    store.client.set_tag(store.single, "val_digest", "0123456789abcdef")
    out = store.folder / "both.html"
    report(["dropout-study", store.trials[1 - store.best]], out, baseline=store.single)
    page = page_of(out)
    assert page.all("h1")[0].text == f"Comparison dropout-study, {store.trials[1 - store.best]}"
    (answer,) = page.all("div", kind="answer")
    assert "dropout-study" in answer.text
    assert "the baseline single: scored on other images" in answer.text
    assert "0123456789abcdef" in page.by_id("discrimination").text
    assert len(page.rows("leaderboard-rows")) == 3
