"""Names in README.md and the manual exist: modules, functions, fields of experiments, files of the repository."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest
from helpers import manual

from mobilenet_chest.config import flatten, parse

DOTTED = re.compile(r"\bmobilenet_chest((?:\.\w+)+)\b")
METHOD = re.compile(r"^\| .* \| `(\w+)\.(\w+)` \|")
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|yaml))`")
SECTIONS = "data|model|augment|loss|optimizer|stage1|stage2|evaluation|tracking|study|gates"
FIELD = re.compile(rf"`((?:{SECTIONS})\.(?!(?:onnx|pt2|xml|bin|mlpackage|pte|plan)`)[a-z_0-9]+)(?:[:=][^`]*)?`")
"""But for files that `export` writes."""

PLACEHOLDERS = ("<command>", "/a/b.py", "/a/test_b.py")


def names(text: str, pattern: re.Pattern[str]) -> set[str]:
    """Return what a pattern finds in the page's prose and examples."""
    return {match[1] for match in pattern.finditer(text)}


@pytest.mark.parametrize("page", manual.pages(), ids=manual.name)
def test_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for dotted in names(text, DOTTED):
        resolve(f"mobilenet_chest{dotted}")
    fields = set(flatten(parse({"name": "x", "study": {"confirm": {}}}).resolved())) | {"study.confirm"}
    assert names(text, FIELD) - fields == set()
    files = {name for name in names(text, FILE) if not any(part in name for part in PLACEHOLDERS)}
    assert {name for name in files if not exists(name)} == set()


def exists(name: str) -> bool:
    """Return whether a file is in the repository or in the package; names of run artifacts are in neither."""
    artifacts = ("checkpoints/", "plots/", "predictions/")
    return name.startswith(artifacts) or any((root / name).exists() for root in (manual.ROOT, manual.MANUAL.parent))


def resolve(dotted: str) -> object:
    """Return the module, class or function of a dotted name.

    Raises:
        AttributeError: There is none.
    """
    parts = dotted.split(".")
    found: object = import_module(parts[0])
    for index, part in enumerate(parts[1:], 1):
        try:
            found = getattr(found, part)
        except AttributeError:
            found = import_module(".".join(parts[: index + 1]))
    return found


def test_functions_of_intervals_exist() -> None:
    page = (manual.MANUAL / "intervals.md").read_text(encoding="utf-8")
    rows = [match.groups() for line in page.splitlines() if (match := METHOD.match(line))]
    assert len(rows) == 9
    for module, function in rows:
        assert callable(resolve(f"mobilenet_chest.evaluation.{module}.{function}"))


def test_public_names_are_on_the_page() -> None:
    import mobilenet_chest

    page = (manual.MANUAL / "python.md").read_text(encoding="utf-8")
    assert all(re.search(rf"`{name}\b", page) for name in mobilenet_chest.__all__)


def test_quoted_messages_are_those_of_the_package() -> None:
    page = (manual.MANUAL / "troubleshooting.md").read_text(encoding="utf-8")
    symptoms = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| ")]
    quoted = {
        part.strip() for symptom in symptoms for quote in re.findall(r"`([^`]+)`", symptom) for part in quote.split("…")
    }
    fragments = {part for part in quoted if " " in part}
    assert len(fragments) >= 4
    texts = [text for file in manual.MANUAL.parent.rglob("*.py") for text in literals(file)]
    assert {part for part in fragments if not any(part in text for text in texts)} == set()


def literals(file: Path) -> list[str]:
    """Return the string literals of a source file; what an f-string fills in becomes an empty string."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    joined = [node for node in nodes if isinstance(node, ast.JoinedStr | ast.Constant)]
    return [
        "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        if isinstance(node, ast.JoinedStr)
        else str(node.value)
        for node in joined
    ]
