"""YAML as experiments use it: which plain words are numbers, and that what is written is read back."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mobilenet_chest.config.yaml_text import is_decimal, read_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("-16", -16), ("+3", 3), ("1e-3", 1e-3), ("1.0e-3", 1e-3), ("1E5", 1e5), (".5", 0.5), ("-2.", -2.0),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), (".inf", float("inf")),
        ("010", "010"), ("0x10", "0x10"), ("0o10", "0o10"), ("0b11", "0b11"), ("1_000", "1_000"), ("1:30", "1:30"),
        ("1:30.5", "1:30.5"), ("yes", "yes"), ("No", "No"), ("on", "on"), ("OFF", "OFF"), ("y", "y"),
        ("2024-05-01", "2024-05-01"), ("=", "="), ("01.5", "01.5"), ("'1'", "1"), ("inf", "inf"), ("1e", "1e"),
    ],
)  # fmt: skip
def test_plain_words(text: str, value: Any) -> None:
    read = read_yaml(text)
    assert (read, type(read)) == (value, type(value))
    assert read_yaml(f"[{text}, a]" if text else "[~, a]") == [value, "a"]
    assert read_yaml(write_yaml(value)) == value


def test_tags_are_held_to_the_same_numbers() -> None:
    assert read_yaml("!!int '16'") == 16
    assert read_yaml("!!float 16") == 16.0
    for text in ("!!int 010", "!!int 1:30", "!!float 1_0.0", "!!int 1.5e"):
        with pytest.raises(yaml.YAMLError):
            read_yaml(text)


@pytest.mark.parametrize("text", ["010", "yes", "1e3", "1:30", "0x10", "null", "2024-05-01", "", "=", "é: #"])
def test_text_stays_text_for_other_readers_too(text: str) -> None:
    written = write_yaml({"key": text})
    assert read_yaml(written) == {"key": text}
    assert yaml.safe_load(written) == {"key": text}


def test_decimal_numbers() -> None:
    assert all(map(is_decimal, ["0", "16", "-1", "1e-3", "0.5"]))
    assert not any(map(is_decimal, ["010", "1_0", "0x1", "1:2", " 1", "", "one", "１"]))
