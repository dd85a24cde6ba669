"""What a study begins with: the priors of its search, and what was good in the studies that it learns from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import optuna

from mobilenet_chest.config import Config
from mobilenet_chest.config.formats import number
from mobilenet_chest.errors import StudyError, allowed_names
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.earlier_trials import EarlierTrial
from mobilenet_chest.sweep.locks import exclusive
from mobilenet_chest.sweep.portfolio import MOST, portfolio, sample_trials
from mobilenet_chest.sweep.priors import prior_values
from mobilenet_chest.sweep.sampler import LEARNS_FROM
from mobilenet_chest.sweep.sampler_choice import choose_sampler
from mobilenet_chest.sweep.space import Values
from mobilenet_chest.sweep.stored_study import find_study
from mobilenet_chest.sweep.study_summary import StudySummary, summaries
from mobilenet_chest.tracking.store import masked

logger = logging.getLogger(__name__)


class FirstTrial(NamedTuple):
    """Values that a study begins with; the sampler gives the fields that they leave out.

    Attributes:
        values: Path -> value, as Optuna stores it.
        study: The study that they are from; ``None`` for the priors.
        trial: Their trial there.
    """

    values: Values
    study: str | None = None
    trial: int | None = None

    def __str__(self) -> str:
        """Return ``trial 3 of study 'a': stage2.lr=0.001``."""
        shown = " ".join(f"{path}={number(value)}" for path, value in self.values.items())
        return f"{'priors' if self.study is None else f'trial {self.trial} of study {self.study!r}'}: {shown}"


def first_trials(config: Config, url: str) -> list[FirstTrial]:
    """Return the values that a study began with, or would begin with now; creates nothing.

    Raises:
        StudyError: A study to learn from does not exist, or has nothing to learn from.
    """
    study = find_study(url, config.study_name)
    if study is not None and study.get_trials(deepcopy=False):
        return _remembered(study)
    return _chosen(config, _sources(config, url))[0]


def queue_first_trials(config: Config, study: optuna.Study, url: str) -> list[FirstTrial]:
    """Queue the trials that a study begins with, each once; return them.

    They are chosen once and remembered: studies that end later change nothing. A process that was killed between two of
    them is continued by the next one.

    Raises:
        StudyError: As :func:`first_trials`.
    """
    begun = attributes.FIRST_TRIALS in study.user_attrs or study.get_trials(deepcopy=False)
    sources = [] if begun else _sources(config, url)
    chosen, earlier = ([], []) if begun else _chosen(config, sources)
    curves = _learned_curves(config, sources)
    with exclusive(url):
        trials = study.get_trials(deepcopy=False)
        if attributes.FIRST_TRIALS not in study.user_attrs:  # nor has another machine chosen them since
            if earlier:
                study.set_user_attr(attributes.EARLIER_TRIALS, earlier)
                logger.info("the sampler sees %d trials of earlier studies, fewer with each of its own", len(earlier))
            if curves is not None:
                study.set_user_attr(attributes.CURVES, curves)
                logger.info("learning curves are expected to run as those of %s", ", ".join(curves["studies"]))
            study.set_user_attr(attributes.FIRST_TRIALS, [each._asdict() for each in chosen])
        remembered = _remembered(study)
        queued = {trial.user_attrs.get(attributes.FIRST) for trial in trials}
        for place, first in enumerate(remembered[: config.study.trials]):
            if place not in queued:
                study.enqueue_trial(first.values, user_attrs={attributes.FIRST: place})
                logger.info("first trials: %s", first)
    return remembered


def learned_from(study: optuna.Study) -> list[str]:
    """Return the names of the studies that a study has learned from."""
    seen = [EarlierTrial(*each).study for each in study.user_attrs.get(attributes.EARLIER_TRIALS, ())]
    begun = [each.study for each in _remembered(study) if each.study is not None]
    curves = study.user_attrs.get(attributes.CURVES, {"studies": []})["studies"]
    return list(dict.fromkeys([*begun, *sorted([*seen, *curves])]))


def _remembered(study: optuna.Study) -> list[FirstTrial]:
    stored: list[dict[str, Any]] = study.user_attrs.get(attributes.FIRST_TRIALS, [])
    return [FirstTrial(**each) for each in stored]


def _learned_curves(config: Config, sources: Sequence[StudySummary]) -> dict[str, Any] | None:
    """Return what a new study is to know of learning curves; nothing where no scheduler predicts any."""
    if config.study.scheduler != "freeze_thaw" or not sources:
        return None
    from mobilenet_chest.sweep.earlier_curves import learn_curves  # its scipy.optimize takes 0.4 s

    return learn_curves(sources)


def _chosen(config: Config, sources: Sequence[StudySummary]) -> tuple[list[FirstTrial], list[EarlierTrial]]:
    """Return the values that a new study begins with, and the trials that its sampler is to see."""
    priors = prior_values(config)
    learns = choose_sampler(config).name in LEARNS_FROM and not config.study.also
    earlier = sample_trials(config.search, sources, config.seed) if learns else []
    chosen = [FirstTrial(priors)] if priors else []
    # a sampler that sees the earlier trials finds the next good one sooner than a fixed list does
    for member in portfolio(config.search, sources, most=1 if earlier else MOST):
        if member.values != priors:
            chosen.append(FirstTrial(*member))
    return chosen, earlier


def _sources(config: Config, url: str) -> list[StudySummary]:
    """Return the studies to learn from, in the order of their names in the experiment, or in the storage."""
    wanted = config.study.learn_from
    if not wanted:
        return []
    stored = summaries(url, resting=wanted == "all")
    useful = {each.name: each for each in stored if config.search.keys() & each.search.keys()}
    useful.pop(config.study_name, None)
    if wanted == "all":
        if not useful:
            logger.warning("study.learn_from: no study in %s searches one of these fields; nothing is learned",
                           masked(url))  # fmt: skip
        return list(useful.values())
    for name in wanted:
        if name in useful:
            continue
        problem = f"study.learn_from: {_problem(config, name, {each.name: each for each in stored}, url)}"
        raise StudyError(f"{problem}{allowed_names(name, useful or ['none yet'])}")
    return [useful[name] for name in dict.fromkeys(wanted)]


def _problem(config: Config, name: str, stored: dict[str, StudySummary], url: str) -> str:
    if name == config.study_name:
        return f"'{name}' is this study itself"
    if name in stored:
        return f"study '{name}' searches none of these fields, but {', '.join(stored[name].search)}"
    if find_study(url, name) is not None:
        return f"study '{name}' has no complete trial"
    return f"no study '{name}' in {masked(url)}"
