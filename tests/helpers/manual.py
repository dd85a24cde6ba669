"""The manual as its tests see it: pages, their blocks, headings and links, and the parts that are generated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README, MANUAL = ROOT / "README.md", ROOT / "mobilenet_chest" / "docs"

FENCE = re.compile(r"^```(\w*)$")
NOTE = re.compile(r"^<!-- (?!generated: |end)(.+) -->$")
GENERATED = re.compile(r"(<!-- generated: ([\w. -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: What stands behind the opening fence: console, python, yaml, bash …
        lines: Its lines, without the fences.
        start: Index of its first line in the page.
        notes: What the HTML comments directly before the fence say, such as ``{"run in": "store"}``.
    """

    language: str
    lines: tuple[str, ...]
    start: int
    notes: dict[str, str]

    @property
    def end(self) -> int:
        """Return the index of the closing fence in the page."""
        return self.start + len(self.lines)

    @property
    def text(self) -> str:
        """Return the block's lines as a file would have them."""
        return "\n".join(self.lines) + "\n"


def pages() -> list[Path]:
    """Return README.md and every page of the manual."""
    return [README, *sorted(MANUAL.glob("*.md"))]


def name(page: Path) -> str:
    """Return a page's path from the root of the repository, as test ids and messages name it."""
    return str(page.relative_to(ROOT))


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    lines, result, index = text.splitlines(), [], 0
    while index < len(lines):
        if opening := FENCE.match(lines[index]):
            end = lines.index("```", index + 1)
            notes: dict[str, str] = {}
            above = index - 1
            while above >= 0 and (note := NOTE.match(lines[above])):
                pairs = (part.partition(":") for part in note[1].split(";"))
                notes |= {key.strip(): value.strip() for key, _, value in pairs}
                above -= 1
            result.append(Block(opening[1], tuple(lines[index + 1 : end]), index + 1, notes))
            index = end
        index += 1
    return result


def prose(text: str) -> Iterator[str]:
    """Yield the lines of a page that stand in no fenced block."""
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield line


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, by the rule of GitHub."""
    headings = (line.lstrip("#").strip() for line in prose(text) if re.match(r"#+ ", line))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """Return the targets of a page's links and pictures, those of other sites too."""
    return [target for line in prose(text) for target in LINK.findall(re.sub(r"`[^`]*`", "", line))]


def broken_links(page: Path) -> list[str]:
    """Return the links of a page that lead to no file or to no heading."""
    broken = []
    for link in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue  # another site: not looked up
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


def regenerated(text: str, parts: dict[str, Callable[[], str]]) -> str:
    """Return a page with each generated part as it would be written now.

    Raises:
        KeyError: The page names a part that nothing generates.
    """
    return GENERATED.sub(lambda match: f"{match[1]}{parts[match[2]]()}\n{match[3]}", text)


def has_examples(page: Path) -> bool:
    """Return whether a page has console or Python blocks."""
    return any(block.language in ("console", "python") for block in blocks(page.read_text(encoding="utf-8")))
