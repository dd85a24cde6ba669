"""The items of a checklist, and how they are written as Markdown and CSV.

The CSV files beside this one have the official numbers with words of our own, and say which facts of a run answer an
item and what the author has to add.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

Name = Literal["tripod-ai", "claim"]

SOURCES: dict[Name, tuple[str, str]] = {
    "tripod-ai": ("TRIPOD+AI", "Collins et al., BMJ 2024;385:e078378, https://www.tripod-statement.org"),
    "claim": (
        "CLAIM 2024",
        "Tejani et al., Radiology: Artificial Intelligence 2024;6(4):e240300, https://doi.org/10.1148/ryai.240300",
    ),
}
"""Title of each checklist, and where the official one is found."""

State = Literal["filled", "partly filled", "for the author"]

AUTHOR: State = "for the author"
"""What is written where MLflow and the experiment say nothing."""


@dataclass(frozen=True)
class Item:
    """An item of a checklist.

    Attributes:
        number: The official one.
        part: Of the paper.
        topic: What is asked for, in our words.
        answer: What MLflow and the experiment say; empty where they say nothing.
        author: What the author has to add; empty where nothing is missing.
    """

    number: str
    part: str
    topic: str
    answer: str
    author: str

    @property
    def state(self) -> State:
        """Whether the answer is whole."""
        if not self.answer:
            return AUTHOR
        return "partly filled" if self.author else "filled"

    @property
    def text(self) -> str:
        """The answer, with what the author has to add."""
        if not self.answer:
            return AUTHOR
        return f"{self.answer}. {AUTHOR.capitalize()}: {self.author}" if self.author else self.answer


def items(name: Name, facts: Mapping[str, str]) -> list[Item]:
    """Return the items of a checklist in their order, filled with facts by their names; empty facts are unknown.

    Raises:
        KeyError: An item asks for a fact that has no entry.
    """
    text = files(__package__).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return [
        Item(
            row["number"], row["part"], row["topic"],
            "; ".join(fact for key in row["facts"].split() if (fact := facts[key])), row["author"],
        )
        for row in csv.DictReader(io.StringIO(text))
    ]  # fmt: skip


def markdown(name: Name, items: Sequence[Item], about: str) -> str:
    """Return a checklist as a Markdown page.

    Args:
        name: Of the checklist.
        items: In their order.
        about: What it is about, as text.
    """
    title, source = SOURCES[name]
    states = [item.state for item in items]
    return "\n".join([
        f"# {title}: {_escaped(about)}", "",
        f"Of {len(items)} items {states.count('filled')} are filled from MLflow and the experiment, "
        f"{states.count('partly filled')} partly, and {states.count(AUTHOR)} are {AUTHOR}. Check what is filled.", "",
        f"Numbers are the official ones, words are not. The official checklist: {source}.", "",
        "| item | part | asks for | answer |",
        "|---|---|---|---|",
        *(f"| {' | '.join(map(_escaped, (item.number, item.part, item.topic, item.text)))} |" for item in items), "",
    ])  # fmt: skip


def _escaped(text: str) -> str:
    """Return a text as it is shown in a cell of a Markdown table, whatever signs it has."""
    html = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\|*`\[\]])", r"\\\1", html)


def table(items: Sequence[Item]) -> str:
    """Return a checklist as CSV with the columns number, part, topic, state, answer."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "part", "topic", "state", "answer"])
    writer.writerows([item.number, item.part, item.topic, item.state, item.text] for item in items)
    return text.getvalue()
