"""Who runs which trial: the total is kept, and nothing is run twice."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

import optuna
import pytest
from helpers.claims import RANGE, STEMS, Make, Open, counted, numbers, taken_by
from optuna.trial import TrialState

from mobilenet_chest.config import Config
from mobilenet_chest.sweep.claims import claim, fail_trial, requeue
from mobilenet_chest.sweep.sampler import TrialSeededSampler
from mobilenet_chest.sweep.space import grid_points
from mobilenet_chest.sweep.storage import open_storage

pytestmark = pytest.mark.filterwarnings("ignore:QMCSampler is experimental")

# --- the total -----------------------------------------------------------------------------------------------------


def test_one_worker_runs_precisely_the_total(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": RANGE, "study": {"trials": 5, "sampler": "random"}})
    study = opened(config)
    run = taken_by(study, config, url)
    assert len(run) == 5
    assert len({values["stage2.lr"] for values in run}) == 5
    assert claim(study, config, url) is None
    assert len(study.get_trials()) == 5  # being refused leaves no trial behind


def test_trials_in_other_hands_count_towards_the_total(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": RANGE, "study": {"trials": 2}})
    study = opened(config)
    assert claim(study, config, url) is not None
    assert claim(study, config, url) is not None
    assert claim(study, config, url) is None
    assert numbers(study, TrialState.RUNNING) == [0, 1]


def test_a_failed_trial_counts_and_an_interrupted_one_does_not(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": RANGE, "study": {"trials": 2}})
    study = opened(config)
    failed = claim(study, config, url)
    assert failed is not None
    study.tell(failed[0], state=TrialState.FAIL)
    interrupted = claim(study, config, url)
    assert interrupted is not None
    fail_trial(study, interrupted[0], "for this test")
    assert study.trials[1].user_attrs["reason"] == "for this test"
    assert [trial.number for trial in counted(study)] == [0]
    assert len(taken_by(study, config, url)) == 1
    assert [trial.number for trial in counted(study)] == [0, 2]


def test_threads_keep_to_the_total(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": RANGE, "study": {"trials": 12, "sampler": "random"}})
    runs: list[list[dict[str, Any]]] = []
    studies = [opened(config) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda study=study: runs.append(taken_by(study, config, url))) for study in studies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    run = [values["stage2.lr"] for values_of in runs for values in values_of]
    assert len(runs) == 4
    assert len(run) == len(set(run)) == 12
    assert numbers(studies[0], TrialState.COMPLETE) == list(range(12))


def take_some(config: Config, url: str, results: multiprocessing.queues.Queue[list[dict[str, Any]]]) -> None:
    storage = open_storage(url)
    study = optuna.load_study(study_name=config.study_name, storage=storage, sampler=TrialSeededSampler(config))
    results.put(taken_by(study, config, url))
    storage.engine.dispose()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_processes_keep_to_the_total(phantom_config: Make, url: str, sampler: str) -> None:
    config = phantom_config(
        {"search": RANGE | {"model.dropout": {"low": 0.1, "high": 0.6}}, "study": {"trials": 16, "sampler": sampler}}
    )
    storage = open_storage(url)
    study = optuna.create_study(study_name=config.study_name, storage=storage)
    storage.engine.dispose()
    context = multiprocessing.get_context("fork")
    results: multiprocessing.queues.Queue[list[dict[str, Any]]] = context.Queue()
    processes = [context.Process(target=take_some, args=(config, url, results)) for _ in range(3)]
    for process in processes:
        process.start()
    run = [values["stage2.lr"] for _ in processes for values in results.get(timeout=40)]
    for process in processes:
        process.join(timeout=60)
    results.close()
    results.join_thread()
    assert [process.exitcode for process in processes] == [0] * 3
    assert len(run) == len(set(run)) == 16
    assert numbers(study, TrialState.COMPLETE) == list(range(16))
    storage.remove_session()
    storage.engine.dispose()


# --- nothing twice -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_small_space_is_not_run_twice(phantom_config: Make, opened: Open, url: str, sampler: str) -> None:
    config = phantom_config({"search": STEMS, "study": {"trials": 3, "sampler": sampler}})
    run = taken_by(opened(config), config, url)
    assert sorted(values["model.stem"] for values in run) == ["mean", "repeat", "sum"]


def test_an_exhausted_space_still_ends(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": STEMS, "study": {"trials": 4, "sampler": "random"}})
    study = opened(config)
    assert len(taken_by(study, config, url)) == 3  # the fourth has the result of one of them
    assert len(counted(study)) == 4


def test_a_grid_ends_with_its_last_point(phantom_config: Make, opened: Open, url: str) -> None:
    config = phantom_config({"search": STEMS, "study": {"trials": 10, "sampler": "grid"}})
    study = opened(config)
    for point in grid_points(config):
        study.enqueue_trial(point)
    assert taken_by(study, config, url) == grid_points(config)
    assert len(study.get_trials()) == 3


def test_a_point_queued_again_is_not_lost_while_its_first_trial_still_says_running(
    phantom_config: Make, opened: Open, url: str
) -> None:
    """An interrupted worker queues its values before it ends its trial; another may ask between the two."""
    config = phantom_config({"search": STEMS, "study": {"trials": 10, "sampler": "grid"}})
    study = opened(config)
    for point in grid_points(config):
        study.enqueue_trial(point)
    claimed = claim(study, config, url)
    assert claimed is not None
    trial, values = claimed
    run = [taken[1] for taken in (claim(study, config, url), claim(study, config, url)) if taken is not None]
    requeue(study, study.trials[trial.number], deaths=0)
    early = claim(study, config, url)
    run += [early[1]] if early is not None else []
    fail_trial(study, trial, "interrupted")
    if (late := claim(study, config, url)) is not None:
        run.append(late[1])
    assert values in run
    assert sorted(point["model.stem"] for point in run) == ["mean", "repeat", "sum"]
