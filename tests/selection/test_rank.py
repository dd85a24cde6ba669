"""Which runs count as worse than the champion, and which cannot be compared with it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mobilenet_chest.errors import PromotionRefused
from mobilenet_chest.selection.rank import compare_with_champion
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.runs import Candidate


@pytest.fixture
def client(tracking: Path) -> MlflowClient:
    client = MlflowClient()
    client.create_experiment("e")
    client.create_registered_model("tiny")
    return client


def made(client: MlflowClient, metrics: dict[str, float], **more: str) -> Candidate:
    experiment = client.get_experiment_by_name("e")
    assert experiment is not None
    run = client.create_run(experiment.experiment_id, tags={"kind": "train", "data_digest": "d", **more})
    for name, value in metrics.items():
        client.log_metric(run.info.run_id, name, value)
    return Candidate(client.get_run(run.info.run_id))


def version_of(client: MlflowClient, candidate: Candidate) -> str:
    return str(client.create_model_version("tiny", f"runs:/{candidate.run_id}/m", candidate.run_id).version)


def test_anything_is_better_than_nothing(client: MlflowClient) -> None:
    assert compare_with_champion(client, made(client, {"val_auc": 0.1}), "tiny", None) == []


@pytest.mark.parametrize(("ours", "word"), [(0.8, "as good as"), (0.81, "better than")])
def test_not_worse(ours: float, word: str, client: MlflowClient) -> None:
    champion = made(client, {"val_auc": 0.8})
    version = version_of(client, champion)
    (line,) = compare_with_champion(client, made(client, {"val_auc": ours}), "tiny", version)
    assert line.startswith(f"the run is {word} version 1: ")
    assert f"val_auc {ours}; version 1 (run {champion.run_id[:8]}) has 0.8" in line


def test_worse(client: MlflowClient) -> None:
    version = version_of(client, made(client, {"val_auc": 0.8}))
    candidate = made(client, {"val_auc": 0.79})
    with pytest.raises(PromotionRefused, match="val_auc 0.79; version 1 .* has 0.8; .*--even-if-worse") as caught:
        compare_with_champion(client, candidate, "tiny", version)
    assert caught.value.exit_code == 3
    assert "the run is worse" in compare_with_champion(client, candidate, "tiny", version, even_if_worse=True)[0]


@pytest.mark.parametrize("named", ["study", "run"])
def test_a_trial_is_ranked_by_the_metric_of_its_study(named: str, client: MlflowClient) -> None:
    study = made(client, {}, kind="study", study="s", metric="val_loss", direction="minimize")
    trial = made(client, {"val_auc": 0.9, "val_loss": 0.5}, kind="trial", **{"mlflow.parentRunId": study.run_id})
    candidate = Candidate(trial.run, study.run) if named == "study" else trial
    better = version_of(client, made(client, {"val_auc": 0.1, "val_loss": 0.4}))
    worse = version_of(client, made(client, {"val_auc": 0.99, "val_loss": 0.6}))
    with pytest.raises(PromotionRefused, match="val_loss 0.5; version 1 .* has 0.4"):
        compare_with_champion(client, candidate, "tiny", better)
    assert "better than version 2: val_loss 0.5" in compare_with_champion(client, candidate, "tiny", worse)[0]


@pytest.mark.parametrize(
    ("metrics", "run_tags", "why"),
    [
        (
            {"val_auc": 0.9},
            {"data_digest": "other"},
            "scored on rows with digest other, this run on rows with digest d",
        ),
        ({"val_auc": 0.9}, {"val_digest": "other"}, "scored on rows with digest other, this run on rows with digest d"),
        ({"val_auc": 0.9}, {tags.SCORED_ON: "folds"}, "were not scored on the same images"),
        ({"val_loss": 0.9}, {}, "its run has no val_auc"),
        ({"val_auc": math.nan}, {}, "its run has no val_auc"),
    ],
)
def test_what_cannot_be_compared_passes_and_says_so(
    metrics: dict[str, float], run_tags: dict[str, str], why: str, client: MlflowClient
) -> None:
    version = version_of(client, made(client, metrics, **run_tags))
    (line,) = compare_with_champion(client, made(client, {"val_auc": 0.1}), "tiny", version)
    assert line.startswith("not compared with version 1: ")
    assert why in line


def test_a_version_of_no_run(client: MlflowClient) -> None:
    client.create_model_version("tiny", "s3://elsewhere/m")
    (line,) = compare_with_champion(client, made(client, {"val_auc": 0.1}), "tiny", "1")
    assert line.startswith("not compared with version 1: its run was deleted")
