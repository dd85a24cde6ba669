"""``claim``: what it prints of a claim and of its answer, and inputs that are refused before anything is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.commands import assert_one_line, assert_refused, run

from mobilenet_chest.cli import claim as module
from mobilenet_chest.cli.claim import print_claims
from mobilenet_chest.evaluation.claim import Condition
from mobilenet_chest.selection.claim import Answer, Claim, Measured

CLAIM = Claim(
    number=2,
    rule="auc >= 0.9",
    conditions=[Condition("auc", ">=", 0.9)],
    run_id="a" * 32,
    threshold=0.65,
    digest="0123456789abcdef",
    images=(33, 69),
    against=None,
    against_threshold=None,
    analysis={"level": 0.95},
    power=0.75,
    study="small",
    when="2026-01-02T03:04:05.678+00:00",
    who="ann@chest",
    token="t",
    sha256="b" * 64,
)
ANSWER = Answer(
    verdict="held",
    conditions=[Measured("auc >= 0.9", 0.95, 0.91, 0.97, "held")],
    images=102,
    openings=3,
    trials=8,
    trials_after=1,
    claims=2,
    tries=5,
    chance_false=0.125,
    when=CLAIM.when,
    sha256=CLAIM.sha256,
)


def test_a_new_claim_says_what_is_on_record_and_what_comes_next(
    tracking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "new_claim", lambda *arguments: CLAIM)
    head, rows, power, sha256, following = run("claim", "small", "auc >= 0.9").stdout.splitlines()
    assert head == "claim 2, 2026-01-02 03:04 UTC, run aaaaaaaa: auc >= 0.9"
    assert all(part in rows for part in ("0.6500", "102", "33", "69", CLAIM.digest))
    assert "0.75" in power
    assert CLAIM.sha256 in sha256
    assert following.endswith("mobilenet-chest evaluate aaaaaaaa --split test")
    monkeypatch.setattr(module, "new_claim", lambda *arguments: replace(CLAIM, cohort="clinic-b"))
    head, rows, power, _, following = run(
        "claim", "small", "auc >= 0.9", "--data", "a b.npz", "--as", "clinic-b"
    ).stdout.splitlines()
    assert head.startswith("claim 2 on cohort clinic-b, ")
    assert "102 images of clinic-b" in rows
    assert "images of clinic-b" in power
    assert following == "next: mobilenet-chest evaluate aaaaaaaa --data 'a b.npz' --as clinic-b"
    document = json.loads(run("claim", "small", "auc >= 0.9", "--json").stdout)
    assert (document["rule"], document["images"], document["answer"]) == ("auc >= 0.9", [33, 69], None)


def test_an_answer_is_shown_with_its_interval_and_what_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    print_claims([replace(CLAIM, answer=ANSWER)])
    _, verdict, condition, chance = capsys.readouterr().out.splitlines()
    assert verdict.strip().startswith("held; power 0.75")
    assert condition.strip() == "auc >= 0.9: 0.9500 (0.9100–0.9700), held"
    assert all(part in chance for part in ("0.125", "5 tries", "3 times", "1 of 8 trainings", "claims 1"))


def test_what_spoils_a_claim_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    undecided = replace(ANSWER, verdict="not decidable", chance_false=None)
    print_claims([replace(CLAIM, answer=undecided, openings_before=2, against="c" * 32, power=None), CLAIM,
                  replace(CLAIM, edited=True)])  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].strip() == "differences are from run cccccccc"
    assert "opened 2 times" in lines[2]
    assert lines[3].strip().startswith("not decidable with 102 images; power unknown")
    assert "no answer yet" in lines[6]
    assert "EDITED" in lines[8]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["auc > 0.9"], "sign '>'"),
        (["f1 >= 0.9"], "f1"),
        (["auc"], "--against"),
        (["auc >= 1.2"], "1.2"),
        (["auc >= 0.9", "--margin", "0.1"], "--margin 0.1"),
        (["auc", "--against", "x", "--margin", "2"], "--margin 2"),
        (["auc >= 0.9", "--split", "test", "--data", "x.npz"], "--split test"),
        (["auc >= 0.9", "--data", "x.npz"], "--as NAME"),
        (["auc >= 0.9", "--as", "clinic-b"], "--data FILE"),
        (["auc >= 0.9", "--data", "x.npz", "--as", "Clinic B"], "--as Clinic B"),
    ],
)
def test_wrong_rules_are_refused_before_anything_is_read(folder: Path, arguments: list[str], names: str) -> None:
    assert_refused(folder, "claim", "none", *arguments, wants=names)


def test_a_run_that_is_not_there(tracking: Path) -> None:
    assert_one_line("claim", "none", "auc >= 0.9", wants="'none'")
