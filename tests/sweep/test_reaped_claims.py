"""What a dead worker held is done by another, and what others have queued is checked."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import optuna
import psutil
import pytest
from helpers.claims import RANGE, STEMS, Make, Open, counted, numbers, taken_by
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.attributes import MAX_RETRIES, REASON
from mobilenet_chest.sweep.claims import claim, counts, reap, requeue
from mobilenet_chest.sweep.lease import WorkerWatch
from mobilenet_chest.sweep.space import grid_points, outside
from mobilenet_chest.tracking.provenance import identity

pytestmark = pytest.mark.filterwarnings("ignore:QMCSampler is experimental")

# --- dead workers --------------------------------------------------------------------------------------------------


def gone() -> dict[str, Any]:
    """The identity of a process that was, and is no more."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = psutil.Process(process.pid).create_time()
        process.communicate(b"\n")
    return identity() | {"pid": process.pid, "started": started}


def die_with(study: optuna.Study, config: Config, url: str) -> dict[str, Any]:
    """Claim a trial in the name of a process that is gone."""
    claimed = claim(study, config, url)
    assert claimed is not None
    claimed[0].set_user_attr("worker", gone())
    return claimed[1]


def test_a_dead_workers_trial_is_queued_again_once(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": RANGE, "study": {"trials": 1}})
    study = opened(config)
    values = die_with(study, config, url)
    assert reap(study, url, WorkerWatch().alive) == [0]
    assert reap(study, url, WorkerWatch().alive) == []
    requeue(study, study.trials[0], deaths=1)
    first, second = study.trials
    assert (first.state, first.user_attrs["interrupted"], first.user_attrs["reason"]) == (
        TrialState.FAIL,
        True,
        "its worker died",
    )
    assert second.state == TrialState.WAITING
    assert (second.user_attrs["retry_of"], second.user_attrs["deaths"]) == (0, 1)
    assert taken_by(study, config, url) == [values]
    assert [trial.number for trial in counted(study)] == [1]


def test_two_that_mend_at_once_queue_it_once(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": RANGE, "study": {"trials": 2}})
    study = opened(config)
    die_with(study, config, url)
    others = [opened(config) for _ in range(4)]
    ended: list[list[int]] = []
    threads = [threading.Thread(target=lambda s=s: ended.append(reap(s, url, WorkerWatch().alive))) for s in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(ended) == [[], [], [], [0]]
    assert numbers(study, TrialState.WAITING) == [1]


def test_a_living_workers_trial_is_left_alone(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": RANGE, "study": {"trials": 2}})
    study = opened(config)
    claimed = claim(study, config, url)
    assert claimed is not None
    assert reap(study, url, WorkerWatch().alive) == []
    assert numbers(study, TrialState.RUNNING) == [0]
    study.tell(claimed[0], 0.5)
    assert study.best_trial.number == 0


@pytest.mark.parametrize("retries", [None, 1, 0])
def test_a_trial_that_kills_every_worker_counts_as_failed(
    phantom_config: Make, opened: Open, url: str, retries: int | None
) -> None:
    config = phantom_config({"search": RANGE, "study": {"trials": 1}})
    study = opened(config)
    if retries is not None:
        study.set_user_attr(MAX_RETRIES, retries)
    most = config.study.max_retries if retries is None else retries
    values = [die_with(study, config, url)]
    for death in range(1, most + 1):
        assert reap(study, url, WorkerWatch().alive) == [death - 1]
        assert counted(study) == []
        values.append(die_with(study, config, url))
    assert values == [values[0]] * (most + 1)
    assert reap(study, url, WorkerWatch().alive) == [most]
    assert [trial.number for trial in counted(study)] == [most]
    assert study.trials[-1].user_attrs["reason"] == f"its worker died {'once' if most == 0 else f'{most + 1} times'}"
    assert numbers(study, TrialState.WAITING, TrialState.RUNNING) == []
    assert claim(study, config, url) is None


def test_a_worker_that_died_before_it_signed(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": RANGE, "study": {"trials": 1}})
    study = opened(config)
    study.ask()
    assert reap(study, url, WorkerWatch().alive) == [0]
    assert len(taken_by(study, config, url)) == 1
    assert [trial.number for trial in counted(study)] == [1]


def test_a_grids_point_outlives_a_worker_that_died_before_it_signed(
    phantom_config: Make, opened: Open, url: str
) -> None:
    """Its values stand in the queue's own note only, not yet among the trial's parameters."""
    config = phantom_config({"search": STEMS, "study": {"trials": 3, "sampler": "grid"}})
    study = opened(config)
    for point in grid_points(config):
        study.enqueue_trial(point, skip_if_exists=True)
    study.ask()
    assert reap(study, url, WorkerWatch().alive) == [0]
    for point in grid_points(config):
        study.enqueue_trial(point, skip_if_exists=True)
    run = taken_by(study, config, url)
    assert sorted(values["model.stem"] for values in run) == ["mean", "repeat", "sum"]


# --- queued by someone else ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Fixed parameter")
@pytest.mark.parametrize(
    "values",
    [
        {"stage2.lr": 5.0}, {"stage2.lr": "x"}, {"stage2.lr": None}, {"stage2.lr": float("nan")}, {"stage2.lr": True},
        {"model.stem": "other"}, {"optimizer.batch_size": 3}, {"optimizer.batch_size": 4.5}, {"nonsense": 1},
        {"optimizer.batch_size": "4"}, {"model.hidden": [8]}, {"model.hidden": "[9]"},
    ],
)  # fmt: skip
def test_values_that_the_space_does_not_have_are_not_run(
    phantom_config: Make, opened: Open, url: str, values: dict[str, Any]
) -> None:
    sizes = {"optimizer.batch_size": {"low": 2, "high": 8, "step": 2}, "model.hidden": {"choices": [[8]]}}
    search = RANGE | STEMS | sizes
    config = phantom_config({"search": search, "study": {"trials": 3, "sampler": "random", "pruner": "none"}})
    study = opened(config)
    count = 25 if values == {"stage2.lr": 5.0} else 2  # once more than a claim is repeated for duplicates
    for _ in range(count):
        study.enqueue_trial(values)
    study.enqueue_trial({"stage2.lr": 1e-4, "model.stem": "sum", "optimizer.batch_size": 4, "model.hidden": "[8]"})
    run = taken_by(study, config, url)
    assert len(run) == 3
    assert run[0] == {"stage2.lr": 1e-4, "model.stem": "sum", "optimizer.batch_size": 4, "model.hidden": (8,)}
    failed = study.get_trials(states=(TrialState.FAIL,))
    assert len(failed) == count
    assert not any(map(counts, failed))
    (name,) = values
    assert {name in trial.user_attrs[REASON] for trial in failed} == {True}


def test_all_points_of_spaces_are_in_them(phantom_config: Make) -> None:
    search = {
        "stage2.lr": {"low": 1e-4, "high": 1e-3, "step": 1e-4}, "seed": {"choices": [1, 2]},
        "model.hidden": {"choices": [[], [8, 8]]}, "stage2.patience": {"choices": [None, 3]},
        "optimizer.batch_size": {"low": 3, "high": 9, "step": 3}, "data.drop_duplicates": {"choices": [True, False]},
    }  # fmt: skip
    config = phantom_config({"search": search, "study": {"sampler": "grid", "pruner": "none"}})
    points = grid_points(config)
    assert len(points) == 10 * 2 * 2 * 2 * 3 * 2
    assert {outside(config.search, point) for point in points} == {None}
