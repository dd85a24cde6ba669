"""The command line: its list of commands, and how it starts."""

from __future__ import annotations

import atexit
import gc
import signal

from mobilenet_chest import interrupts
from mobilenet_chest.cli.encoding import replace_unknown_signs
from mobilenet_chest.cli.lazy import lazy_group, load_command
from mobilenet_chest.cli.program import NAME, program

PACKAGE = "mobilenet_chest.cli"

SECTIONS = {
    "Run": {
        "sweep": "Start a sweep, or resume it.",
        "train": "Train one model.",
    },
    "Choose": {
        "compare": "Compare finished runs and studies, with 95% intervals.",
        "report": "Write one HTML page about studies and runs.",
    },
    "Deliver": {
        "promote": "Register the best run, test it at the gates, and move the alias.",
        "predict": "Predict images with a registered model.",
        "export": "Write a model as one file for other programs, and prove it.",
        "benchmark": "Measure the speed, cost and loss of models side by side.",
        "compress": "Make a model smaller or faster, and compare it with its original.",
        "serve": "Serve a registered model over HTTP.",
        "monitor": "Compare the answers of a served model with its validation rows.",
        "ab": "Compare the models that a server asks, by its log of answers.",
    },
    "Steer": {
        "study": "Pause, resume, stop and change the sweep of a study.",
        "studies": "Carry finished studies to other stores, to learn from.",
    },
    "Examine": {
        "evaluate": "Score a finished run on a split, or on data of another source.",
        "points": "Show calibration and operating points of a run.",
        "browse": "Open a study's leaderboard, or a run, in MLflow's pages.",
        "claim": "Put a claim on record before the test split, or a cohort, is opened.",
        "ledger": "List every access to the sealed test split and to cohorts, and all claims.",
    },
    "Combine": {
        "ensemble": "Average the probabilities of several trainings.",
        "soup": "Average the weights of several fine-tunings.",
        "distill": "Train a network on the probabilities of another.",
        "ablate": "Turn choices on one at a time, each against the same baseline.",
        "baselines": "Train the recipe and all baselines with the same budget.",
    },
    "Data": {
        "data": "Inspect, download and make data sets.",
        "cache": "List and remove what was computed for later trials.",
    },
    "Upkeep": {
        "repair": "Send pending writes to MLflow, and bring MLflow and Optuna into agreement.",
        "doctor": "Check what is installed, reachable and cached.",
        "schema": "Print the JSON schema of experiment files, for editors.",
        "docs": "Print a page of the manual, or list its pages.",
    },
}
"""Sections of the help: the first line of each command's docstring by its name; a test compares them."""

COMMANDS = {name: summary for section in SECTIONS.values() for name, summary in section.items()}
"""All commands, in the order of the help."""

app = lazy_group(
    PACKAGE,
    "Sweeps over two-stage fine-tuning of medical image classifiers, tracked in MLflow.",
    SECTIONS,
    program,
    completion=True,
)


def main(command: str | None = None) -> None:
    """Run a command line.

    Args:
        command: Take ``sys.argv`` as the arguments of this command, as ``sweep.py`` and ``train.py`` do.
    """
    # imports make 500,000 objects that stay: with Python's default, walking them is a fifth of the start
    gc.set_threshold(50_000, 20, 50)
    interrupts.install(signal.SIGINT, signal.SIGTERM)
    replace_unknown_signs()
    # the interpreter's last collection walks all objects of torch and mlflow, which takes more than a second
    atexit.register(gc.freeze)
    if command is None:
        app(prog_name=NAME)
    else:
        load_command(f"{PACKAGE}.{command}")(prog_name=f"{command}.py")
