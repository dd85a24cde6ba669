"""Before a sweep runs: whether it could, and how many trainings are left to do."""

from __future__ import annotations

import itertools
from dataclasses import replace

from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.warnings import log_data_warnings
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.models.zoo import build_model
from mobilenet_chest.sweep.claims import counts
from mobilenet_chest.sweep.confirm import missing_trainings
from mobilenet_chest.sweep.control import in_force
from mobilenet_chest.sweep.first_trials import FirstTrial, first_trials
from mobilenet_chest.sweep.local_workers import stored_choice
from mobilenet_chest.sweep.notifier import check_notify
from mobilenet_chest.sweep.sampler_choice import SamplerChoice, check_sampler, choose_sampler
from mobilenet_chest.sweep.space import grid_points
from mobilenet_chest.sweep.splits import check_split
from mobilenet_chest.sweep.storage import DEFAULT, check_storage
from mobilenet_chest.sweep.stored_study import check_same_experiment, find_study
from mobilenet_chest.sweep.summary import Kept, kept_trials
from mobilenet_chest.tracking.locations import check_experiment
from mobilenet_chest.tracking.parents import parent_weights
from mobilenet_chest.tracking.store import check_reachable
from mobilenet_chest.training.stages import Prepared, check_single_images, prepare

WEIGHTS_MUST_FIT = ("model.name", "model.weights", "model.stem", "model.hidden", "model.pooling", "model.attention")
"""Fields on which it depends whether a file of weights fits."""

MOST_NETWORKS = 32
"""Number of combinations of them that are built before a sweep: the first ones."""


def check(config: Config, storage: str | None = None) -> Prepared:
    """Check all that can be wrong with a sweep short of training, and return what was prepared for it.

    Nothing is left behind.

    Raises:
        UserError: Space, data, weights, storage or tracking store do not let the sweep run.
    """
    if not config.search:
        raise ConfigError([f"{config.name}: nothing to search; add a search section, or use train.py for one training"])
    if config.study.sampler == "grid":
        grid_points(config)
    check_notify(config.study.notify)
    check_storage(storage or DEFAULT)
    check_reachable()
    check_experiment(config.experiment)
    prepared = prepare(config, parent=parent_weights(config))
    _check_methods(config)
    log_data_warnings(config.data, prepared.data)
    check_split(config)
    _check_blocks(config, prepared.model.block_count)
    _check_single_images(config, prepared)
    _check_weights(config, prepared.data.channels)
    check_same_experiment(config, storage or DEFAULT)
    check_sampler(sampler(config, storage))
    first_trials(config, storage or DEFAULT)
    return prepared


def sampler(config: Config, storage: str | None = None) -> SamplerChoice:
    """Return the sampler that the study has, or would have; creates nothing."""
    study = find_study(storage or DEFAULT, config.study_name)
    return choose_sampler(config) if study is None else stored_choice(config, study)


def begins_with(config: Config, storage: str | None = None) -> list[FirstTrial]:
    """Return the values that the study began with, or would begin with; creates nothing."""
    return first_trials(config, storage or DEFAULT)


def total_trials(config: Config) -> int:
    """Return how many trials the study is to have: with a grid, no more than it has points."""
    if config.study.sampler == "grid":
        return min(config.study.trials, len(grid_points(config)))
    return config.study.trials


def remaining_trials(config: Config, storage: str | None = None) -> int:
    """Return how many trials :func:`~mobilenet_chest.sweep.run_sweep` would begin; creates nothing."""
    study = find_study(storage or DEFAULT, config.study_name)
    if study is None:
        return total_trials(config)
    return max(0, total_trials(in_force(config, study)) - sum(map(counts, study.get_trials(deepcopy=False))))


def kept(config: Config, storage: str | None = None) -> Kept | None:
    """Return what an interrupted sweep has kept; ``None`` if it had not begun."""
    study = find_study(storage or DEFAULT, config.study_name)
    return None if study is None else replace(kept_trials(study), total=total_trials(in_force(config, study)))


def remaining_confirmations(config: Config, storage: str | None = None) -> int:
    """Return how many trainings on fresh seeds it would begin after the trials; creates nothing."""
    url = storage or DEFAULT
    study = find_study(url, config.study_name)
    current = config if study is None else in_force(config, study)
    return missing_trainings(current, study, total_trials(current), url)


def _check_methods(config: Config) -> None:
    """Prepare the network of each searched way to make it smaller: what cannot be done shows before the first trial."""
    searched = config.search.get("compress.method")
    for method in () if searched is None else searched.choices or ():
        if method != config.compress.method:
            other = with_values(config, {"compress.method": method})
            prepare(other, parent=parent_weights(other))


def _check_single_images(config: Config, prepared: Prepared) -> None:
    """Check that batches of one image can be trained where a trial may have them."""
    searched = config.search.get("optimizer.batch_size")
    if searched is not None and 1 in (searched.choices or (searched.low,)):
        optimizer = config.optimizer.model_copy(update={"batch_size": 1})
        check_single_images(config.model_copy(update={"optimizer": optimizer}), prepared.model)


def _check_weights(config: Config, channels: int) -> None:
    """Build the network of each combination of searched fields of ``model`` that reads a file of weights."""
    fields = [path for path in config.search if path in WEIGHTS_MUST_FIT and config.search[path].choices]
    choices = [config.search[path].choices or () for path in fields]
    if "model.weights" not in fields and config.model.weights in ("imagenet", "none"):
        return
    for values in itertools.islice(itertools.product(*choices), MOST_NETWORKS):
        network = with_values(config, dict(zip(fields, values, strict=True))).model
        if network.weights not in ("imagenet", "none"):
            build_model(network, channels)


def _check_blocks(config: Config, count: int) -> None:
    searched = config.search.get("stage2.unfreeze_from")
    if searched is None or "model.name" in config.search:
        return
    ends = [searched.high] if searched.choices is None else [c[0] for c in searched.choices if isinstance(c, tuple)]
    highest = max(end for end in ends if isinstance(end, int | float))
    if highest >= count:
        raise ConfigError(
            [
                f"search.stage2.unfreeze_from: {highest:g}, but {config.model.name} has {count} blocks; allowed: "
                f"0 to {count - 1}"
            ]
        )
