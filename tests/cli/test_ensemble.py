"""``ensemble``, and trainings that are combined by one command after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.commands import Write, run


@pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning")
def test_combining_what_cannot_be_combined(tracking: Path, written: Write) -> None:
    file = written()
    for arguments, words in (
        (("ensemble", file), "an experiment file needs --seeds N or --folds N"),
        (("ensemble", file, "--seeds", "2", "--folds", "2"), "--seeds, --folds and --top exclude each other"),
        (("ensemble", file, file, "--seeds", "2"), "one experiment file is needed, not 2"),
        (("ensemble", file, "--folds", "40"), "data.folds: 40, but class 0 has"),
        (("ensemble", "none"), "no run, study or experiment 'none'"),
        (("ensemble", "none", "--top", "3"), "no study 'none'"),
        (("ensemble", "one", "two", "--top", "3"), "--top takes one study, not 2: one, two"),
    ):
        result = run(*arguments)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), (arguments, result.output)
        assert words in result.stderr
        assert result.stdout == ""
    assert not (tracking / "mlruns").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning")
def test_combinations_in_json(tracking: Path, written: Write) -> None:
    file = written(model={"name": "mobilenet_v3_small", "weights": "none", "hidden": [8]})

    def document(*arguments: str | Path) -> Any:
        result = run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    ensemble = document("ensemble", file, "--seeds", "2")
    assert set(ensemble) == {"run_id", "members", "metrics", "intervals"}
    assert len(ensemble["members"]) == 2
    rows = document("ablate", file, "--over", "stage2.ema=0.5", "--seeds", "2")["rows"]
    assert rows[0]["run_ids"] == ensemble["members"]  # trained once
    assert set(rows[1]["differences"]["val_auc"]) == {"mean", "low", "high", "each"}
    student = document("distill", file, "--teacher", ensemble["run_id"])
    assert student["teacher"] == ensemble["run_id"]
    soup = document("soup", ensemble["members"][0])
    assert soup["members"] == [ensemble["members"][0]]
    table = document("baselines", file)["rows"]
    assert table[0]["run_id"] == ensemble["members"][0]
    assert {"latency_1_ms", "latency_64_ms"} <= set(table[0]["metrics"])
    run_ids = {row["run_id"] for row in document("compare")["rows"]}
    assert {ensemble["run_id"], soup["run_id"], student["run_id"], *rows[1]["run_ids"]} <= run_ids
    assert "Δ val AUC" in run("ablate", file, "--over", "stage2.ema=0.5", "--seeds", "2").stdout
