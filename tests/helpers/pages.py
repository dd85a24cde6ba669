"""HTML pages as tests read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "path", "circle", "rect", "polyline", "polygon"}


@dataclass
class Element:
    """A tag with its attributes, and the text that stands in it, of its children too."""

    tag: str
    attributes: dict[str, str]
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)


class Page(HTMLParser):
    """The elements of a page, in order; fails where one is not closed, or not the one that is open."""

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
        """Elements of any of the tags, with these attributes (``kind`` is ``class``)."""
        wanted = {"class" if name == "kind" else name: value for name, value in attributes.items()}
        return [e for e in self.elements if e.tag in tags and wanted.items() <= e.attributes.items()]

    def by_id(self, key: str) -> Element:
        (found,) = [e for e in self.elements if e.attributes.get("id") == key]
        return found

    def rows(self, caption_id: str) -> dict[str, list[str]]:
        """Cells of a table by their row's header."""
        start = next(i for i, e in enumerate(self.elements) if e.attributes.get("id") == caption_id)
        found: dict[str, list[str]] = {}
        header = ""
        for element in self.elements[start + 1 :]:
            if element.tag == "table":
                break
            if element.tag == "th" and element.attributes["scope"] == "row":
                header = element.text
                found[header] = []
            elif element.tag == "td":
                found[header].append(element.text)
        return found
