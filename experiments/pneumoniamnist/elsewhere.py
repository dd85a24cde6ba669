"""Take the winners of two confirmed studies to synthetic films: ``python …/elsewhere.py STUDY OTHER COHORT.npz``.

Each winner's recipe is trained, unchanged, on the phantom's site A, with each fresh seed of its study, and scored on a
cohort of another site: ``mobilenet-chest data phantom --out COHORT.npz --site B``. It prints a row for each metric:
the means over the seeds, and STUDY minus OTHER with the 95% interval of the paired differences. After a kill, the same
command continues.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from seeds_compared import as_program, paired, print_table, winning_runs

from mobilenet_chest.combine.members import train_members
from mobilenet_chest.config import Config, DataConfig
from mobilenet_chest.selection.cohorts import evaluate_cohort
from mobilenet_chest.tracking.artifacts import run_config
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import get_run
from mobilenet_chest.tracking.store import connect

COHORT = "elsewhere"
METRICS = (f"cohort-{COHORT}_auc_tta", f"cohort-{COHORT}_accuracy_tta_threshold", "heldout_stress_auc_mean",
           "val_auc_tta")  # fmt: skip
"""The first one counts: it is on films of a site that has trained and chosen nothing."""


def on_phantom(config: Config) -> Config:
    """Return the recipe with the phantom's site A as its data."""
    data = DataConfig(
        dataset="phantom", classes=["cardiomegaly", "pneumothorax"], source_size=64, image_size=config.data.image_size
    )
    return config.model_copy(update={"name": f"{config.name}-phantom", "data": data})


def by_seed(study: str, cohort: Path) -> dict[int, dict[str, float]]:
    """Return the metrics of a winner's recipe on the phantom: seed -> metrics. What is trained already is found."""
    client = connect()
    runs = winning_runs(client, study)
    members = train_members([on_phantom(run_config(client, run)) for run in runs.values()])
    found = {}
    for seed, member in zip(runs, members, strict=True):
        if METRICS[0] not in metrics_of(member.run):
            evaluate_cohort(member.run_id, cohort, COHORT)
        found[seed] = metrics_of(get_run(client, member.run_id))
    return found


def main() -> None:
    """Train, score, and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("other")
    parser.add_argument("cohort", type=Path)
    given = parser.parse_args()
    first, second = (by_seed(study, given.cohort) for study in (given.study, given.other))
    rows = paired((given.study, given.other), (first, second), METRICS)
    print_table(given.study, given.other, rows)


if __name__ == "__main__":
    as_program(main)
