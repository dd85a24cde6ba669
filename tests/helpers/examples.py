"""The examples of the manual: each block runs in a prepared folder, and its output is compared with the page's.

What a page can say in an HTML comment directly before a fenced block:

- ``<!-- run in: store -->`` starts a fresh folder; the blocks below run in it until the next such comment.
- ``<!-- run in: empty; rows vary -->`` compares the shape of tables only: another machine orders trials otherwise.
- ``<!-- file: my-sweep.yaml -->`` writes the block into the folder under that name.
- ``<!-- not run -->`` leaves a Python block out; console blocks always run.

A line ``…`` in an output stands for any number of lines, and ``…`` at the end of a line for the rest of that line.
"""

from __future__ import annotations

import getpass
import itertools
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.manual import Block, blocks
from helpers.shell import run_line

WIDTH = 118
"""Columns of an output line that a page shows."""

SHOWN_HOME, SHOWN_FOLDER, SHOWN_USER = "/home/ann", "/home/ann/chest", "ann@chest"
"""What a page shows instead of the home and working folder of this machine, and of who ran the example."""

NUMBER = r"[+−-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
MASKS = (
    (re.compile(r"\b[0-9a-f]{7,64}\b(?=.*)"), "ID"),
    (re.compile(rf"{NUMBER} (?:s|ms|min|h|KB|kB|MB|GB)\b(?: {NUMBER} (?:s|min)\b)?"), "QUANTITY"),
    (re.compile(NUMBER), "#"),
    (re.compile(r"[─━┏┓┗┛┡┩└┘╇┳┻┴┬┼├┤╃╄]+"), "RULE"),
    (re.compile(r"\s+"), " "),
)


@dataclass
class Example:
    """A command line of a console block, with the output that the page shows.

    Attributes:
        command: The line as the page has it, continuation lines joined.
        shown: Lines of output on the page.
        first: Index of the first of them in the page.
    """

    command: str
    shown: list[str]
    first: int


@dataclass
class Setting:
    """A prepared folder in which blocks run.

    Attributes:
        folder: The working folder.
        names: Placeholders of the page, such as RUN_ID, with what they stand for here.
    """

    folder: Path
    names: dict[str, str] = field(default_factory=dict)


def examples(block: Block) -> list[Example]:
    """Return the command lines of a console block.

    Raises:
        ValueError: The block begins with output.
    """
    result: list[Example] = []
    lines = iter(enumerate(block.lines, block.start))
    for index, line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                index, line = next(lines)
                command = command[:-1] + line.strip()
            result.append(Example(command, [], index + 1))
        elif result:
            result[-1].shown.append(line)
        else:
            raise ValueError(f"line {index + 1}: a console block begins with '$ ', not with {line!r}")
    return result


def masked(line: str, rows_vary: bool = False) -> str:
    """Return a line of output with its numbers, ids, quantities and widths masked."""
    if rows_vary and line.startswith("│"):
        return "│" + " · │" * (line.count("│") - 1)
    for pattern, replacement in MASKS:
        line = pattern.sub(replacement, line)
    return line.strip()


def same(shown: list[str], printed: list[str], rows_vary: bool = False) -> bool:
    """Return whether the page shows what was printed, masked and with its elisions."""
    if "…" in (line.strip() for line in shown):
        at = [line.strip() for line in shown].index("…")
        head, tail = shown[:at], shown[at + 1 :]
        if len(printed) < len(head) + len(tail):
            return False
        end = printed[len(printed) - len(tail) :]
        return same(head, printed[: len(head)], rows_vary) and same(tail, end, rows_vary)
    return len(shown) == len(printed) and all(
        _same_line(page, line, rows_vary) for page, line in zip(shown, printed, strict=True)
    )


def _same_line(shown: str, printed: str, rows_vary: bool) -> bool:
    if not shown.endswith("…") or shown == printed:
        return masked(shown, rows_vary) == masked(printed, rows_vary)
    if rows_vary and shown.startswith("│"):
        return printed.startswith("│")
    return masked(printed).startswith(masked(shown[:-1]))


def rewritten(shown: list[str], printed: list[str]) -> list[str]:
    """Return what the page should show: as many lines as now before and after its elision, each cut to the width."""
    printed = [_cut(line) for line in printed]
    places = [index for index, line in enumerate(shown) if line.strip() == "…"]
    if not places or len(printed) < len(shown):
        return printed
    tail = len(shown) - places[0] - 1
    return [*printed[: places[0]], "…", *printed[len(printed) - tail :]]


def _cut(line: str) -> str:
    line = line.rstrip()
    if len(line) <= WIDTH:
        return line
    head = line[: WIDTH - 1]
    return (head.rpartition(" ")[0].rstrip() if " " in head else head) + "…"


class Runner:
    """Runs the blocks of a page, one after the other.

    Args:
        prepare: Makes a setting of the given name; the working folder is its folder from then on.
    """

    def __init__(self, prepare: Callable[[str], Setting]) -> None:
        self._prepare = prepare
        self._setting: Setting | None = None
        self._namespace: dict[str, Any] = {}

    def run(self, text: str) -> Iterator[tuple[Example, list[str], bool]]:
        """Run a page; yield each command with the lines that it printed and whether rows of tables vary."""
        rows_vary = False
        for block in blocks(text):
            if "run in" in block.notes:
                self._setting, self._namespace = self._prepare(block.notes["run in"]), {"__name__": "page"}
                rows_vary = "rows vary" in block.notes
            if "file" in block.notes:
                (self.setting.folder / block.notes["file"]).write_text(self._named(block.text), encoding="utf-8")
            elif block.language == "console":
                for example in examples(block):
                    yield example, self._printed(example.command), rows_vary
            elif block.language == "python" and "not run" not in block.notes:
                exec(compile(self._named(block.text), f"line {block.start}", "exec"), self._namespace)

    @property
    def setting(self) -> Setting:
        """Return the current setting.

        Raises:
            ValueError: The page has named none before its first block that runs.
        """
        if self._setting is None:
            raise ValueError("the first block that runs needs a comment before it: <!-- run in: empty -->")
        return self._setting

    def _named(self, text: str) -> str:
        for name, value in self.setting.names.items():
            text = re.sub(rf"\b{name}\b", value, text)
        return text

    def _printed(self, command: str) -> list[str]:
        output = run_line(self._named(command))
        return [self._shown(line) for line in output.rstrip("\n").split("\n")] if output.strip() else []

    def _shown(self, line: str) -> str:
        """Return a line with the names of this machine replaced; in a table its columns keep their width."""
        names = {
            str(self.setting.folder): SHOWN_FOLDER,
            str(Path.home()): SHOWN_HOME,
            f"{getpass.getuser()}@{socket.gethostname()}": SHOWN_USER,
        }
        for name, shown in names.items():
            while name in line:
                cell = line.find(" │", line.index(name)) if "│" in line else -1
                padding = " " * (len(name) - len(shown)) if cell >= 0 else ""
                head, tail = (line[:cell], line[cell:]) if cell >= 0 else (line, "")
                line = head.replace(name, shown, 1) + padding + tail
        return line.rstrip()


def updated(text: str, results: list[tuple[Example, list[str], bool]]) -> str:
    """Return a page with the output of each command that prints something else now."""
    lines = text.split("\n")
    for example, printed, rows_vary in reversed(results):
        if not same(example.shown, printed, rows_vary):
            lines[example.first : example.first + len(example.shown)] = rewritten(example.shown, printed)
    return "\n".join(lines)


def differences(results: list[tuple[Example, list[str], bool]]) -> list[str]:
    """Return a description of each command whose output is not what the page shows."""
    return [
        "\n".join(itertools.chain([f"$ {example.command}", "-- the page:"], example.shown, ["-- printed:"], printed))
        for example, printed, rows_vary in results
        if not same(example.shown, printed, rows_vary)
    ]
