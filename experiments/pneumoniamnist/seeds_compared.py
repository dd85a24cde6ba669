"""Compare the winners of two confirmed studies seed by seed: ``python …/seeds_compared.py STUDY OTHER [METRIC …]``.

Both studies were confirmed with one ``seed``, so on the same fresh seeds. It prints a row for each metric: the means
over the seeds, and STUDY minus OTHER with the 95% interval of the paired differences. It reads MLflow only, never test.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.combine.ablate import MeanDifference, mean_difference
from mobilenet_chest.errors import UserError
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import find_study, nested_runs
from mobilenet_chest.tracking.store import connect

BySeed = Mapping[int, Mapping[str, float]]

METRICS = ("heldout_stress_auc_mean", "heldout_stress_auc_worst", "stress_auc_mean", "val_auc_tta", "val_specificity")
"""The first is the one that counts: nothing has chosen by it."""


@dataclass(frozen=True)
class Compared:
    """A metric of two winners.

    Attributes:
        metric: Its name.
        means: Of the first study's seeds and of the other's.
        difference: First minus other, seed by seed.
    """

    metric: str
    means: tuple[float, float]
    difference: MeanDifference


def winning_runs(client: MlflowClient, name: str) -> dict[int, Run]:
    """Return the runs of a study's confirmed trial: fresh seed -> run.

    Raises:
        TrackingError: There is no such study.
        UserError: It has no confirmation.
    """
    study = find_study(client, name)
    trial = study.data.tags.get(tags.CONFIRMED_TRIAL)
    if trial is None:
        raise UserError(f"study {name} is not confirmed; give it study.confirm and run its sweep again")
    return {
        int(run.data.tags[tags.CONFIRM_SEED]): run
        for run in nested_runs(client, study.info.run_id)
        if run.data.tags.get(tags.KIND) == tags.CONFIRM_KIND
        and run.data.tags[tags.TRIAL] == trial
        and run.info.status == "FINISHED"
    }


def paired(names: tuple[str, str], by_seed: tuple[BySeed, BySeed], metrics: tuple[str, ...]) -> list[Compared]:
    """Return each metric of two winners, paired by seed.

    Args:
        names: Of the studies.
        by_seed: Their winners' metrics: seed -> metrics.
        metrics: Their names.

    Raises:
        UserError: The seeds differ, or a run lacks a metric.
    """
    first, second = by_seed
    if first.keys() != second.keys():
        raise UserError(
            f"{names[0]} has the seeds {sorted(first)}, {names[1]} {sorted(second)}; both need one seed and number"
        )
    rows = []
    for metric in metrics:
        if missing := [study for study, runs in zip(names, by_seed, strict=True)
                       if not all(metric in each for each in runs.values())]:  # fmt: skip
            known = ", ".join(sorted(set.intersection(*map(set, [*first.values(), *second.values()]))))
            raise UserError(f"runs of {' and '.join(missing)} have no {metric}; all have: {known}")
        rows.append(compared_pairs(metric, [(first[seed][metric], second[seed][metric]) for seed in sorted(first)]))
    return rows


def compared_pairs(name: str, pairs: Sequence[tuple[float, float]]) -> Compared:
    """Return a row of values that are paired by seed."""
    means = sum(pair[0] for pair in pairs) / len(pairs), sum(pair[1] for pair in pairs) / len(pairs)
    return Compared(name, means, mean_difference([ours - theirs for ours, theirs in pairs]))


def compared(client: MlflowClient, name: str, other: str, metrics: tuple[str, ...] = METRICS) -> list[Compared]:
    """Return each metric of two studies' winners, paired by seed.

    Raises:
        TrackingError: A study is not there.
        UserError: A study is not confirmed, the seeds differ, or a run lacks a metric.
    """
    first, second = (
        {seed: metrics_of(run) for seed, run in winning_runs(client, each).items()} for each in (name, other)
    )
    return paired((name, other), (first, second), metrics)


def print_table(name: str, other: str, rows: list[Compared]) -> None:
    """Print the comparison in Markdown."""
    print(f"| metric | {name} | {other} | difference (95%) | seeds |\n|---|---|---|---|---|")
    for row in rows:
        difference, (ours, theirs) = row.difference, row.means
        interval = f"{difference.mean:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
        print(f"| {row.metric} | {ours:.4f} | {theirs:.4f} | {interval} | {len(difference.each)} |")


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("other")
    parser.add_argument("metrics", nargs="*", help=f"by default {', '.join(METRICS)}")
    given = parser.parse_args()
    rows = compared(connect(to_read=True), given.study, given.other, tuple(given.metrics) or METRICS)
    print_table(given.study, given.other, rows)


def as_program(main: Callable[[], None]) -> None:
    """Run a script; what is wrong with its input is one line, and exit code 2."""
    try:
        main()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    as_program(main)
