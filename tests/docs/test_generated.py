"""Generated parts of pages are what the schema and the command line say today."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import manual, reference

from mobilenet_chest.config import Config, flatten, parse


@pytest.fixture(scope="module")
def parts() -> dict[str, str]:
    """Return every generated part, made once."""
    return {name: make() for name, make in reference.parts().items()}


@pytest.mark.parametrize("page", manual.pages(), ids=manual.name)
def test_no_page_is_stale(page: Path, parts: dict[str, str]) -> None:
    text = page.read_text(encoding="utf-8")
    now = manual.regenerated(text, {name: lambda made=made: made for name, made in parts.items()})
    assert now == text, f"{manual.name(page)} is stale; type: python tests/docs/generate.py"


def test_every_field_is_on_the_page(parts: dict[str, str]) -> None:
    page = "".join((manual.MANUAL / f"{name}.md").read_text(encoding="utf-8") for name in ("fields", "study-fields"))
    paths = flatten(parse({"name": "x", "study": {"confirm": {}}, "gates": {"champion": {"margin": 0.1}}}).resolved())
    missing = [path for path in paths if f"| `{path}` |" not in page]
    assert not missing


def test_every_field_says_what_it_is(parts: dict[str, str]) -> None:
    rows = [line for name, part in parts.items() if name.startswith("fields") for line in part.splitlines()]
    silent = [row for row in rows if row.endswith("|  |")]
    assert not silent, "give these fields a description in mobilenet_chest/config"


def test_every_command_is_on_the_page() -> None:
    names = {None: "options", "data": "your-data", "cache": "cache", "browse": "tracking", "export": "exporting",
             "monitor": "monitoring", "ab": "ab", "benchmark": "benchmark", "serve": "serving",
             "compress": "compress", "claim": "claims", "study": "steering", "studies": "learning"}  # fmt: skip
    text = {group: (manual.MANUAL / f"{name}.md").read_text(encoding="utf-8") for group, name in names.items()}
    commands = reference.all_commands()
    assert {"sweep", "promote", "data audit", "cache clear"} <= {command.words for command in commands}
    assert all(f"# {command.words}\n" in text[command.place] for command in commands)


def test_a_stale_part_is_seen() -> None:
    text = "<!-- generated: fields -->\n| old |\n<!-- end -->\n"
    assert manual.regenerated(text, {"fields": lambda: "| new |"}) == text.replace("old", "new")
    with pytest.raises(KeyError):
        manual.regenerated("<!-- generated: nothing -->\n<!-- end -->", {})


def test_sections_of_the_schema_are_all_generated(parts: dict[str, str]) -> None:
    sections = {name for name, field in Config.model_json_schema()["properties"].items() if "$ref" in field}
    assert {name.removeprefix("fields of ") for name in parts if name.startswith("fields of ")} == sections
