"""The description of a study, in Markdown: in MLflow, and for Optuna's dashboard."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import optuna
from optuna.trial import FrozenTrial

from mobilenet_chest.config import Config
from mobilenet_chest.config.formats import ends, listed, number, signed
from mobilenet_chest.config.metrics import formatted, label
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.attempts import shown_numbers
from mobilenet_chest.sweep.claims import counted_trials, ranked_trials
from mobilenet_chest.sweep.confirm import Confirmation
from mobilenet_chest.sweep.findings import Finding
from mobilenet_chest.sweep.splits import scored_on
from mobilenet_chest.sweep.ties import Ties
from mobilenet_chest.sweep.trial_state import state_name
from mobilenet_chest.tracking.notes import code, plain, shortened
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.view import TRAINING

SHOWN_TRIALS = 5
"""Rows of the leaderboard in a description."""

STATES = {"COMPLETE": "complete", "PAUSED": "paused", "PRUNED": "pruned", "FAIL": "failed"}

ARTIFACTS = (
    ("report.html", "the whole report on one page"),
    ("leaderboard.csv", "all trials"),
    ("plots/study.html", "history, importances and slices"),
)
"""Artifacts of a study's run, and what they are."""


def about_study(config: Config) -> str:
    """Return what a study searches, before any trial has ended."""
    verb = "maximises" if config.study.direction == "maximize" else "minimises"
    fields = ", ".join(code(path) for path in config.search)
    trials = f"**{config.study.trials} trials**"
    return f"Study {code(config.study_name)} {verb} {label(config.study.metric)} in {trials} over {fields}."


def study_note(
    config: Config,
    study: optuna.Study,
    ties: Ties | None = None,
    confirmation: Confirmation | None = None,
    ended: bool = False,
    experiment: str | None = None,
    findings: Sequence[Finding] = (),
) -> str:
    """Return the description of a study: the answer, its five best trials, findings, what to do next, the artifacts.

    Args:
        config: The experiment.
        study: Its study.
        ties: Intervals and ties of its trials, once they are known.
        confirmation: Results of the leaders on fresh seeds, once they are known.
        ended: Whether the sweep has ended and its artifacts are there.
        experiment: Id of the experiment in MLflow, for links between its pages; ``None`` for no links.
        findings: What the trials say about the search itself, once that is known.
    """
    ranked, counted, shown = ranked_trials(study), counted_trials(study), shown_numbers(study)
    parts = [_answer(config, ranked, shown, ties, confirmation)]
    if ranked:
        parts.append(_leaderboard(config, ranked[:SHOWN_TRIALS], shown, ties, experiment))
    parts.append(_states(config, counted))
    if findings:
        noted = (f"- {plain(finding.text)}; try {code(finding.change)}." for finding in findings)
        parts.append("\n".join(["**Notes on the search:**\n", *noted]))
    parts.append(f"**Next:** {_next(config, len(counted), ended)}")
    if ended and ranked:
        parts.append(_artifacts(study, confirmation, experiment))
    return shortened("\n\n".join(parts))


def _answer(
    config: Config, ranked: Sequence[FrozenTrial], shown: Mapping[int, str], ties: Ties | None,
    confirmation: Confirmation | None,
) -> str:  # fmt: skip
    """Return the answer in two sentences: what is best, with its interval, and how sure that is."""
    if not ranked:
        return about_study(config)
    metric, best = config.study.metric, ranked[0]
    if confirmation is not None:
        optimism = confirmation.optimism
        return (
            f"**Trial {shown[confirmation.trial]} is confirmed: {label(metric)} "
            f"{formatted(metric, confirmation.value)}** on average over {len(confirmation.seeds)} fresh seeds. The "
            f"search's own best value was optimistic by {signed(optimism.value, 3)} (95% interval "
            f"{signed(optimism.low, 3)} to {signed(optimism.high, 3)})."
        )
    interval = None if ties is None else ties.intervals.get(best.number)
    sure = f" (95% interval {ends(interval, to=' to ')})" if interval else ""
    reached = f"**Trial {shown[best.number]} is the best: {label(metric)} {formatted(metric, best.values[0])}**{sure}"
    optimistic = f"; best of {len(ranked)} trials, so this value is optimistic" if len(ranked) > 1 else ""
    first = f"{reached} {scored_on(config)}{optimistic}."
    if ties is None:
        return f"{first} Its interval follows when the sweep has ended."
    others = [shown[trial.number] for trial in ranked if trial.number in ties.tied and trial.number != best.number]
    if others:
        return f"{first} On these images it is indistinguishable from {_among(others, len(ranked) - 1)}."
    return first


def _among(trials: Sequence[str], all_others: int) -> str:
    """Return which of the other complete trials are meant."""
    if all_others == 1:
        return f"the other complete trial, {trials[0]}"
    if len(trials) == all_others:
        return f"all {all_others} other complete trials"
    named = listed(trials[:SHOWN_TRIALS]) + (" and more" if len(trials) > SHOWN_TRIALS else "")
    return f"{len(trials)} of the {all_others} other complete trials: {named}"


def _leaderboard(
    config: Config, trials: Sequence[FrozenTrial], shown: Mapping[int, str], ties: Ties | None, experiment: str | None
) -> str:  # fmt: skip
    metric, paths = config.study.metric, list(config.search)
    intervals = {} if ties is None else ties.intervals
    tied = [] if ties is None else ties.tied
    headings = ["trial", label(metric), *(["95% interval", ""] if ties else []), *map(code, paths), "run"]
    rows = [headings, ["---"] * len(headings)]
    for place, trial in enumerate(trials):
        interval = intervals.get(trial.number)
        mark = "best" if place == 0 else "tied" if trial.number in tied else ""
        run_id = trial.user_attrs.get(attributes.RUN_ID)
        rows.append([
            shown[trial.number],
            formatted(metric, trial.values[0]),
            *([ends(interval) if interval else "", mark] if ties else []),
            *(plain(number(trial.params.get(path))) for path in paths),
            _link(short_id(run_id), str(run_id), experiment) if run_id else "",
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _states(config: Config, counted: Sequence[FrozenTrial]) -> str:
    states = Counter(map(state_name, counted))
    parts = [f"{states[state]} {word}" for state, word in STATES.items() if states[state]]
    return f"{len(counted)} of {config.study.trials} trials have ended: {', '.join(parts) or 'none yet'}."


def _next(config: Config, counted: int, ended: bool) -> str:
    name = shlex.quote(config.study_name)
    if counted < config.study.trials:
        return "if no sweep runs any more, the same command continues this one."
    if not ended:
        return "the sweep is about to end: its report follows."
    # a trial of folds has a model for each fold; promote needs the ensemble of them
    step = "ensemble" if config.study.resampling == "kfold" else "promote"
    return f"{code(f'mobilenet-chest report {name}')}, then {code(f'mobilenet-chest {step} {name}')}."


def _artifacts(study: optuna.Study, confirmation: Confirmation | None, experiment: str | None) -> str:
    run_id = study.user_attrs.get(attributes.RUN_ID)
    extra = [("confirmation.csv", "the leaders on fresh seeds")] if confirmation is not None else []
    files = [f"{_link(name, f'{run_id}/artifacts/{name}', experiment)} ({what})" for name, what in (*ARTIFACTS, *extra)]
    owner = "" if experiment else f" of MLflow run {code(str(run_id))}"
    return f"**Artifacts{owner}:** {', '.join(files)}."


def _link(text: str, page: str, experiment: str | None) -> str:
    """Return a link to a page below the experiment's runs, or the text alone."""
    if experiment is None:
        return code(text)
    return f"[{text}](#/experiments/{experiment}/runs/{page}?{urlencode(TRAINING)})"
