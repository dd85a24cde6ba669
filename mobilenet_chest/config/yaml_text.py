"""YAML as experiments use it: plain decimal numbers, ``true`` and ``false``, and no key given twice.

PyYAML reads YAML 1.1: there ``1:30`` is 90, ``010`` is 8, ``1_000`` is 1000 and ``yes`` is a boolean, while ``1e-3`` is
text. Here only decimal numbers are numbers, as in YAML 1.2; everything else stays the text that was written.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(
    r"(?:[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_TAG = "tag:yaml.org,2002:"


def is_decimal(text: str) -> bool:
    """Return whether a text is a plain decimal number, such as ``16``, ``0.5`` or ``1e-3``."""
    return bool(_INTEGER.match(text) or _FLOAT.match(text))


def read_yaml(text: str) -> Any:
    """Return the one document of a YAML text; no code is run.

    Raises:
        yaml.YAMLError: It is not valid YAML, or a key is given twice.
        ValueError: A number has too many digits.
        RecursionError: It is nested too deeply.
    """
    return yaml.load(text, Loader=_Loader)


def write_yaml(fields: Any) -> str:
    """Return YAML that :func:`read_yaml`, and readers of YAML 1.1 too, read back to equal fields."""
    return yaml.dump(fields, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice: YAML would take the last one, and hide the other."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(k, deep=True) for k, _ in node.value if k.tag != f"{_TAG}merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes also what only :class:`_Loader` would read as a number, such as the text ``1e3``."""


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | float:
    text = str(loader.construct_scalar(node))
    if node.tag == f"{_TAG}int" and _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    raise yaml.constructor.ConstructorError(None, None, f"'{text}' is not a decimal number", node.start_mark)


# without the resolvers of YAML 1.1; merge keys (<<) and null are the same in both
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in (f"{_TAG}merge", f"{_TAG}null")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, _pattern, _first in (
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("int", _INTEGER, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"{_TAG}{_name}", _pattern, list(_first))
for _name in ("int", "float"):
    _Loader.add_constructor(f"{_TAG}{_name}", _number)
