"""Agreement and evidence of logs whose answers are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from helpers.answers import answer, shadowed, write
from mlflow import MlflowClient

from mobilenet_chest.deploy.ab import Scored, compare, next_step
from mobilenet_chest.errors import DataError
from mobilenet_chest.evaluation.sequential import paired, unpaired
from mobilenet_chest.registry.promotion import previous_tag


def test_a_shadow_agrees_or_not(tmp_path: Path) -> None:
    write(tmp_path, [
        answer(tmp_path, "p1", 0.75), answer(tmp_path, "p1", 0.25, "shadow"),
        answer(tmp_path, "p2", 0.25), answer(tmp_path, "p2", 0.375, "shadow"),
        answer(tmp_path, "p3", 0.25),  # the shadow was too busy
    ])  # fmt: skip
    result = compare("films", folder=tmp_path)
    assert result.agreement is not None
    assert (result.agreement.images, result.agreement.same_label) == (2, 0.5)
    assert (result.agreement.only_champion, result.agreement.only_shadow) == (1, 0)
    assert (result.agreement.mean_difference, result.agreement.largest_difference) == (-0.1875, 0.5)
    assert result.agreement.mean_absolute_difference == 0.3125
    champion, shadow = result.arms
    assert (champion.version, champion.images, champion.patients, champion.positive) == (
        "1",
        3,
        3,
        pytest.approx(1 / 3),
    )
    assert (shadow.arm, shadow.version, shadow.images, shadow.mean_probability) == ("shadow", "2", 2, 0.3125)
    assert (result.sequential, result.better, champion.scored, next_step(result)) == (None, None, None, "")


def test_labels_tell_which_of_two_is_better(tmp_path: Path) -> None:
    result = compare("films", shadowed(tmp_path, 200, 40, 3), folder=tmp_path)
    correct = np.arange(200)
    assert result.sequential == paired(correct >= 40, correct < 197)
    assert (result.better, result.unmatched, result.left_out) == ("shadow", 0, 0)
    assert result.arms[0].scored == Scored(200, 0.8, 0.8, 0.8)
    assert result.arms[1].scored == Scored(200, 0.985, 0.98, 0.99)


def test_without_a_difference_nobody_is_better(tmp_path: Path) -> None:
    result = compare("films", shadowed(tmp_path, 100, 4, 5), folder=tmp_path)
    assert result.better is None
    assert result.sequential is not None
    assert result.sequential.low < 0 < result.sequential.high


def test_one_image_of_each_patient_counts(tmp_path: Path) -> None:
    table = shadowed(tmp_path, 10, 2, 1)
    again = [answer(tmp_path, "p3", 0.2, arm, request=f"later {number}") for arm in ("champion", "shadow")
             for number in range(50, 60)]  # fmt: skip
    write(tmp_path, again)
    result = compare("films", table, folder=tmp_path)
    assert result.sequential is not None
    assert result.sequential.n == 10
    assert result.arms[0].images == 20


def test_images_of_nobody_are_pairs_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, [answer(tmp_path, None, 0.9, arm, request="r1", image=image) for image in range(4)
                     for arm in ("champion", "shadow")])  # fmt: skip
    labels = tmp_path / "labels.csv"
    labels.write_text("request_id,image,label\nr1,0,1\nr1,2,0\nr9,0,1\n")
    result = compare("films", labels, folder=tmp_path)
    assert result.unmatched == 1
    assert result.arms[0].scored == Scored(2, 0.5, 1.0, 0.0)


def test_arms_are_compared_by_their_shares(tmp_path: Path) -> None:
    rows, lines, of_second, correct = [], ["patient_id,label"], [], []
    for number in range(80):
        second, right = number % 4 == 0, number % 5 != 1
        arm = "challenger" if second else "champion"
        rows.append(answer(tmp_path, f"p{number}", 0.9 if right else 0.1, arm, share=0.25))
        lines.append(f"p{number},1")
        of_second.append(second)
        correct.append(right)
    rows.append(answer(tmp_path, "p99", 0.9))  # before there was a challenger
    write(tmp_path, rows)
    (tmp_path / "labels.csv").write_text("\n".join([*lines, "p99,0"]))
    result = compare("films", tmp_path / "labels.csv", folder=tmp_path)
    assert result.sequential == unpaired(np.array(correct), np.array(of_second), np.full(80, 0.25))
    assert (result.agreement, result.left_out, result.unmatched) == (None, 1, 1)
    assert [arm.images for arm in result.arms] == [60, 20]
    challenger = result.arms[1].scored
    assert challenger is not None
    assert (challenger.n, challenger.accuracy) == (20, 0.8)
    assert math.isnan(challenger.specificity)


def test_only_the_last_versions_are_compared(tmp_path: Path) -> None:
    write(tmp_path, [
        answer(tmp_path, "p1", 0.9, version="7"), answer(tmp_path, "p1", 0.9, "challenger", share=0.5),
        answer(tmp_path, "p2", 0.9), answer(tmp_path, "p2", 0.9, "shadow", version="3"),
    ])  # fmt: skip
    result = compare("films", folder=tmp_path)
    assert [arm.version for arm in result.arms] == ["1", "3"]
    assert result.left_out == 2


def test_the_next_step_is_a_promotion_or_a_rollback(versions: MlflowClient, tmp_path: Path) -> None:
    run_id = versions.get_model_version("gray", "2").run_id
    write(tmp_path, [
        answer(tmp_path, f"p{number}", probability, arm, model="gray") for number in range(60)
        for arm, probability in (("champion", 0.1), ("shadow", 0.9))
    ], "gray")  # fmt: skip
    for label, step in ((1, f"promote {run_id} --name gray"), (0, "serve gray@champion")):
        lines = [f"p{number},{label}" for number in range(60)]
        (tmp_path / "labels.csv").write_text("\n".join(["patient_id,label", *lines]))
        assert next_step(compare("gray", tmp_path / "labels.csv", folder=tmp_path)) == f"mobilenet-chest {step}"
    (tmp_path / "labels.csv").write_text("\n".join(["patient_id,label", *(f"p{number},1" for number in range(60))]))
    versions.set_model_version_tag("gray", "1", previous_tag("champion"), "2")
    step = next_step(compare("gray", tmp_path / "labels.csv", folder=tmp_path))
    assert step == "mobilenet-chest promote --rollback gray"


def test_a_log_without_two_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="films"):
        compare("films", folder=tmp_path)
    write(tmp_path, [answer(tmp_path, "p1", 0.9)])
    with pytest.raises(DataError, match="--shadow"):
        compare("films", folder=tmp_path)
    with pytest.raises(DataError, match=r"\.\./films"):
        compare("../films", folder=tmp_path)


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("patient_id\np1\n", "label"),
        ("patient_id,request_id,label\np1,r,1\n", "request_id"),
        ("patient_id,label\np1,1\np2,yes\n", "line 3.*yes"),
        ("patient_id,label\np1,1\np1,0\n", "line 3.*p1"),
        ("request_id,image,label\nrequest p1,one,0\n", "line 2.*one"),
        ("patient_id,label\nnobody,1\n", "1 labels"),
        ("", "labels.csv"),
    ],
)
def test_labels_that_cannot_be_used_are_one_line(tmp_path: Path, table: str, names: str) -> None:
    shadowed(tmp_path, 4, 1, 1)
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(DataError, match=names) as refused:
        compare("films", tmp_path / "labels.csv", folder=tmp_path)
    assert "\n" not in str(refused.value)


def test_labels_need_the_key_of_the_log(tmp_path: Path) -> None:
    labels = shadowed(tmp_path, 4, 1, 1)
    (tmp_path / "key").unlink()
    with pytest.raises(DataError, match="key"):
        compare("films", labels, folder=tmp_path)
    assert not (tmp_path / "key").exists()
