"""``promote``: what it prints, and options that do not fit together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.commands import assert_refused, run

from mobilenet_chest.cli import promote as module
from mobilenet_chest.errors import PromotionRefused
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.registry.gates import GateResult
from mobilenet_chest.registry.promote import Promotion

GATES = [GateResult("ece", 0.0154, 0.05, True, "ECE 0.0154"), GateResult("auc", 0.8, 0.9, False, "AUC 0.8")]
DONE = Promotion(
    "tiny", "2", "champion", "a" * 32, True, ["registered"], {"test_auc": 0.9}, [],
    {"test_auc": Interval(0.9, 0.8, 0.95)}, GATES[:1],
)  # fmt: skip


def promoted(monkeypatch: pytest.MonkeyPatch, result: Promotion | PromotionRefused) -> list[Any]:
    """Let the registry answer so; returns the list of what it is asked."""
    asked: list[Any] = []

    def answer(*arguments: Any) -> Promotion:
        asked.append(arguments)
        if isinstance(result, PromotionRefused):
            raise result
        return result

    monkeypatch.setattr(module, "promote_best", answer)
    monkeypatch.setattr(module, "move_back", answer)
    return asked


@pytest.mark.parametrize("result", [DONE, PromotionRefused(["AUC 0.8"], GATES)], ids=["done", "refused"])
def test_the_report_is_logged_where_a_pipe_was_closed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, result: Promotion | PromotionRefused
) -> None:
    """As by ``promote … | head -3``: the end of the output is lost, and nothing else."""
    logged: list[str] = []

    def closed(*_: object) -> None:
        raise BrokenPipeError

    promoted(monkeypatch, result)
    monkeypatch.setattr(module, "log_quietly", logged.append)
    monkeypatch.setattr(module, "line", closed)
    run("promote", "tiny")
    assert logged == ["tiny"]


def test_a_promotion_says_what_was_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = promoted(monkeypatch, DONE)
    result = run("promote", "study", "--name", "tiny", "--again")
    assert asked == [("study", "tiny", "champion", False, False, True)]
    first, gate, where, metric, _, use = result.stdout.splitlines()
    assert (result.exit_code, first, gate) == (0, "registered", str(GATES[0]))
    assert where == f"champion of 'tiny' is version 2, run {'a' * 8}"
    assert metric.split() == ["test_auc", "0.9000", "(0.8000–0.9500)"]
    assert 'mlflow.pyfunc.load_model("models:/tiny@champion")' in use
    document = json.loads(run("promote", "study", "--json").stdout)
    assert {key: document[key] for key in ("name", "version", "alias", "run_id", "promoted", "reasons", "test")} == {
        "name": "tiny", "version": "2", "alias": "champion", "run_id": "a" * 32, "promoted": True,
        "reasons": ["registered"], "test": {"test_auc": 0.9},
    }  # fmt: skip
    assert document["intervals"] == {"test_auc": [0.8, 0.95]}


def test_a_refusal_is_exit_code_3_and_still_one_document(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted(monkeypatch, PromotionRefused(["AUC 0.8"], GATES))
    result = run("promote", "study", "--name", "tiny")
    assert (result.exit_code, result.stdout.splitlines()) == (3, [str(gate) for gate in GATES])
    assert "AUC 0.8" in result.stderr
    result = run("promote", "study", "--name", "tiny", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 3
    assert (document["name"], document["promoted"], document["reasons"]) == ("tiny", False, ["AUC 0.8"])
    assert [gate["passed"] for gate in document["gates"]] == [True, False]


@pytest.mark.parametrize("arguments", [["tiny"], ["--name", "tiny"], ["tiny", "--name", "tiny"]])
def test_a_rollback_names_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    asked = promoted(monkeypatch, DONE)
    assert run("promote", "--rollback", *arguments, "--alias", "best", "--dry-run").exit_code == 0
    assert asked == [("tiny", "best", True)]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--name", "tiny"],
        ["--rollback"],
        ["--rollback", "tiny", "--again"],
        ["--rollback", "tiny", "--even-if-worse"],
        ["--rollback", "tiny", "--name", "other"],
    ],
)
def test_options_that_do_not_fit(folder: Path, arguments: list[str]) -> None:
    assert_refused(
        folder, "promote", *arguments, wants="promote --rollback NAME" if "--rollback" in arguments else "STUDY|RUN_ID"
    )


# MLflow's own remark on a model class without type hints, made when it is imported
@pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning")
def test_promoting_what_is_not_there(tracking: Path) -> None:
    result = run("promote", "none")
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert "'none'" in result.stderr
