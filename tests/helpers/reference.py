"""What pages of the manual generate: the tables of fields, from the schema, and of commands, from the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from helpers.shell import run_line
from mobilenet_chest.config import Config
from mobilenet_chest.data.corruptions import CHOOSING, CORRUPTIONS, HELD_OUT, members

BOUNDS = {"minimum": "≥ ", "exclusiveMinimum": "> ", "maximum": "≤ ", "exclusiveMaximum": "< "}
GROUPS = ("data", "cache", "study", "studies")
IN_ONE_ROW = {
    "study": "Pause, resume, stop and change the sweep of a study",
    "studies": "Carry finished studies to other stores, to learn from",
}
"""Groups that the table of commands has in one row, and what they do."""
ON_OTHER_PAGES = ("claim", "browse", "export", "monitor", "ab", "benchmark", "serve", "compress")
"""Single commands whose options stand on the page of what they are about."""
TYPES = {"number": "number", "integer": "integer", "boolean": "true or false", "null": "null", "string": "text"}


def parts() -> dict[str, Callable[[], str]]:
    """Return what can stand behind ``<!-- generated: … -->``, each with its generator."""
    sections = {f"fields of {section}": partial(fields, section) for section in _sections()}
    groups = {f"options of {group}": partial(options, group) for group in (*GROUPS, *ON_OTHER_PAGES)}
    tables = {"fields": fields, "commands": commands, "options": options, "corruptions": corruptions}
    return {**sections, **groups, **tables}


def _schema() -> dict[str, Any]:
    return Config.model_json_schema()


def _sections() -> list[str]:
    return [key for key, field in _schema()["properties"].items() if "$ref" in field]


def fields(section: str | None = None) -> str:
    """Return the Markdown table of a section's fields, or of the top level's that are no sections."""
    schema = _schema()
    if section is None:
        rows = [(key, field) for key, field in schema["properties"].items() if "$ref" not in field]
        rows += [(f"search.PATH.{key}", field) for key, field in schema["$defs"]["Distribution"]["properties"].items()]
        required = schema.get("required", [])
    else:
        target = _target(schema["properties"][section], schema)
        rows, required = list(_rows(section, target, schema)), []
    lines = ["| field | values | default | what it is |", "|---|---|---|---|"]
    for path, field in rows:
        default = "required" if path in required else _value(field.get("default"))
        described = field.get("description", "").replace("|", "\\|")
        lines.append(f"| `{path}` | {_allowed(field, schema)} | {default} | {described} |")
    return "\n".join(lines)


def _target(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    target: dict[str, Any] = schema["$defs"][field["$ref"].rpartition("/")[2]]
    return target


def _rows(prefix: str, target: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, field in target["properties"].items():
        if "$ref" in field and "properties" in (below := _target(field, schema)):  # a section that is always there
            yield from _rows(f"{prefix}.{key}", below, schema)
            continue
        yield f"{prefix}.{key}", field
        inner = [option for option in field.get("anyOf", []) if "$ref" in option]
        for option in inner:
            below = _target(option, schema)
            for path, leaf in _rows(f"{prefix}.{key}", below, schema):
                name = path.rpartition(".")[2]
                yield path, leaf | ({"default": "required"} if name in below.get("required", []) else {})


def _value(value: Any) -> str:
    if value == "required":
        return "required"
    if value is None or isinstance(value, bool):
        return f"`{str(value).lower().replace('none', 'null')}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _allowed(field: dict[str, Any], schema: dict[str, Any]) -> str:
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_allowed(option, schema) for option in field["anyOf"]))
    if "$ref" in field:
        return "the fields below" if "properties" in _target(field, schema) else "text"
    if field.get("type") == "array":
        inside = field.get("items") or (field.get("prefixItems") or [{}])[0]
        return f"list of {_allowed(inside, schema)}" if "anyOf" not in inside else "list of values"
    if field.get("type") == "object":
        return "map"
    if field.get("format") == "path":
        return "path"
    bounds = [f"{sign}{field[key]:,}" for key, sign in BOUNDS.items() if key in field]
    kind = TYPES.get(field.get("type", ""), "any")
    return kind if not bounds else f"{kind} {' and '.join(bounds)}"


def corruptions() -> str:
    """Return the Markdown table of all corruptions: family, half, parameter by severity, and what it is."""
    lines = ["| family | chooses | corruption | severities 1 to 5 | what it is |", "|---|---|---|---|---|"]
    for family in (*CHOOSING, *HELD_OUT):
        half = "yes" if family in CHOOSING else "held out"
        for name in members(family):
            levels = (
                " or ".join(f"{end:g}" for end in level) if isinstance(level, tuple) else f"{level:g}"
                for level in CORRUPTIONS[name].levels
            )
            lines.append(f"| {family} | {half} | `{name}` | {', '.join(levels)} | {CORRUPTIONS[name].source} |")
    return "\n".join(lines)


def commands() -> str:
    """Return the Markdown table of all commands, each with the first clause of its help."""
    lines = ["| command | what it does |", "|---|---|"]
    listed = set[str]()
    for command in all_commands():
        if command.group in IN_ONE_ROW:
            if command.group not in listed:
                lines.append(f"| `{command.group}` | {IN_ONE_ROW[command.group]} |")
            listed.add(command.group)
            continue
        clause = re.split(r"(?:[;:]|\.) |\.$", command.summary)[0]
        lines.append(f"| `{command.words}` | {_cell(clause)} |")
    return "\n".join(lines)


def options(group: str | None = None) -> str:
    """Return each command of a group, or each that is in none, with its usage and options, as Markdown."""
    parts = []
    for command in all_commands():
        if command.place != group:
            continue
        level = "##" if group is None else "###"
        lines = [f"{level} {command.words}", command.summary, f"Usage: `{command.usage}`"]
        if command.options:
            lines += ["", "| option | what it does |", "|---|---|"]
            lines += [f"| `{_cell(option)}` | {_cell(text)} |" for option, text in command.options.items()]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


@dataclass(frozen=True)
class Command:
    """A command as its ``--help`` describes it.

    Attributes:
        words: Its name, behind its group's.
        summary: First paragraph of its help.
        usage: The line to type.
        options: Each option with its help text, ``--help`` left out.
    """

    words: str
    summary: str
    usage: str
    options: dict[str, str]

    @property
    def group(self) -> str | None:
        """Return the name of its group; most commands are in none."""
        return self.words.rpartition(" ")[0] or None

    @property
    def place(self) -> str | None:
        """Return what its options are listed under: its group, or itself; ``None`` for the page of all commands."""
        return self.words if self.words in ON_OTHER_PAGES else self.group


def all_commands() -> list[Command]:
    """Return all commands below ``mobilenet-chest``, read from their ``--help``."""
    return list(_below(""))


def _below(words: str) -> Iterator[Command]:
    usage, summary, blocks = _help(words)
    if " COMMAND " in usage:
        for heading, lines in blocks.items():
            for name in _entries(lines) if heading != "Options" else []:
                yield from _below(f"{words} {name}".strip())
        return
    options = {name: text for name, text in _entries(blocks.get("Options", [])).items() if name != "--help"}
    yield Command(words, summary, usage, options)


def _help(words: str) -> tuple[str, str, dict[str, list[str]]]:
    """Return usage, first paragraph and the lines of each indented block (Arguments, Options, Commands)."""
    lines = run_line(f"COLUMNS=200 mobilenet-chest {words} --help").splitlines()
    start = lines.index("")
    usage = (
        " ".join(line.strip() for line in lines[:start]).removeprefix("Usage: ").replace(" [OPTIONS]", " [OPTION ...]")
    )
    summary = " ".join(line.strip() for line in lines[start + 1 : lines.index("", start + 1)])
    blocks: dict[str, list[str]] = {}
    for line in lines[start + 1 :]:
        if heading := re.fullmatch(r"(\w+):", line):
            blocks[heading[1]] = []
        elif blocks and line:
            blocks[list(blocks)[-1]].append(line)
    usage = re.sub(r"\[(\[.*\])\](\.\.\.)?|\{([^{}]*)\}\.\.\.", lambda match: match[1] or match[3], usage)
    return usage, summary, blocks


def _entries(lines: list[str]) -> dict[str, str]:
    """Return the entries of a block of help: name (with its value) and text, which may go on in further lines."""
    entries: dict[str, str] = {}
    for line in lines:
        if re.match(r"  \S", line):
            name, _, text = line.strip().partition("  ")
            entries[name] = text.strip()
        else:
            entries[list(entries)[-1]] += f" {line.strip()}"
    return {name: re.sub(r" +", " ", text).strip() for name, text in entries.items()}
