"""HTML pages as tests read them, and what pages about small invented studies are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.paired import PairedComparison
from mobilenet_chest.report.subject import Subject
from mobilenet_chest.selection.rows import Row

VOID = {"meta", "img", "br", "path", "circle", "rect", "polyline", "polygon"}

BETTER = PairedComparison(0.031, 0.005, 0.057, 0.011, 0.022, "better", None)


@dataclass
class Element:
    """A tag with its attributes and its text, which includes the text of its children."""

    tag: str
    attributes: dict[str, str]
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """With white space as a browser shows it."""
        return re.sub("[ \\n]+", " ", "".join(self.texts)).strip(" ")


class Page(HTMLParser):
    """The elements of a page in order. It fails where an element is not closed, or another one is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source, self.elements, self._open = text, list[Element](), list[Element]()
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.texts.append(data)

    def all(self, *tags: str, **attributes: str) -> list[Element]:
        """Return the elements of any of the tags with these attributes (``kind`` is ``class``)."""
        required = {"class" if name == "kind" else name: value for name, value in attributes.items()}
        return [e for e in self.elements if e.tag in tags and required.items() <= e.attributes.items()]

    def by_id(self, key: str) -> Element:
        (element,) = [e for e in self.elements if e.attributes.get("id") == key]
        return element

    def rows(self, caption_id: str) -> dict[str, list[str]]:
        """Return the cells of a table by their row's header."""
        start = next(i for i, e in enumerate(self.elements) if e.attributes.get("id") == caption_id)
        rows: dict[str, list[str]] = {}
        header = ""
        for element in self.elements[start + 1 :]:
            if element.tag == "table":
                break
            if element.tag == "th" and element.attributes["scope"] == "row":
                header = element.text
                rows[header] = []
            elif element.tag == "td":
                rows[header].append(element.text)
        return rows


def row(name: str, auc: float, **changes: Any) -> Row:
    """Return a comparison row of a run that is called and identified by ``name``."""
    interval = Interval(auc, auc - 0.02, auc + 0.01)
    metrics = {"val_auc": auc, "threshold": 0.5}
    return replace(Row(name, name, "run", "model", 1, metrics, "chest 1", intervals={"val_auc": interval}), **changes)


def subject(
    rows: list[Row],
    base: Row | None = None,
    leader: int = 0,
    tags: dict[str, str] | None = None,
    folds: str | None = None,
    **metrics: float,
) -> Subject:
    """Return the subject of a study's page.

    Args:
        rows: Best first.
        base: The baseline's.
        leader: Place of the leader among the rows.
        tags: Of the study's run.
        folds: How many folds the leader is the mean of.
        metrics: Of the study's run.
    """
    study: Any = SimpleNamespace(data=SimpleNamespace(metrics=metrics, tags=tags or {}))
    details: Any = SimpleNamespace(run_id=rows[leader].run_id, images_scored="305 validation images", folds=folds)
    return Subject("study", ("s",), "val_auc", "maximize", study, rows, base, details, None, None, None)
