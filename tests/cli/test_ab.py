"""The command ``ab``: what it prints, its JSON, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

from helpers.answers import shadowed
from helpers.commands import assert_one_line, run


def test_evidence_for_people_and_for_programs(tmp_path: Path) -> None:
    labels = shadowed(tmp_path, 60, 3, 40)
    shown = run("ab", "films", "--labels", labels, "--log-dir", tmp_path)
    assert shown.exit_code == 0, shown.output
    assert "the champion is better" in shown.stdout
    assert "mobilenet-chest serve films@champion" in shown.stdout
    document = json.loads(run("ab", "films", "--labels", labels, "--log-dir", tmp_path, "--json").stdout)
    assert document["better"] == "champion"
    assert document["arms"][0]["scored"]["accuracy"] == 0.95
    assert document["sequential"]["high"] < 0
    assert document["agreement"]["images"] == 60


def test_without_labels_it_says_how_to_give_them(tmp_path: Path) -> None:
    shadowed(tmp_path, 6, 1, 1)
    shown = run("ab", "films", "--log-dir", tmp_path)
    assert shown.exit_code == 0, shown.output
    assert "--labels" in shown.stdout
    document = json.loads(run("ab", "films", "--log-dir", tmp_path, "--json").stdout)
    assert (document["sequential"], document["next"]) == (None, None)


def test_only_answers_since_a_time(tmp_path: Path) -> None:
    shadowed(tmp_path, 60, 3, 40)
    options = ("--log-dir", tmp_path, "--json")
    document = json.loads(run("ab", "films", "--since", "2026-01-02T00:00:40", *options).stdout)
    assert [arm["images"] for arm in document["arms"]] == [20, 20]
    assert_one_line("ab", "films", "--since", "1m", *options, wants="films")  # none since a minute ago
    assert_one_line("ab", "films", "--since", "soon", *options, wants="--since soon")


def test_wrong_input_is_one_line(tmp_path: Path) -> None:
    assert_one_line("ab", "films", "--log-dir", tmp_path, wants="films")
    shadowed(tmp_path, 6, 1, 1)
    assert_one_line("ab", "films", "--log-dir", tmp_path, "--labels", tmp_path / "none.csv", wants="none.csv")
