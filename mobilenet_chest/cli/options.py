"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.config import Config, load
from mobilenet_chest.errors import ConfigError

EXPERIMENTS = Path(__file__).parents[2] / "experiments"

Experiment = Annotated[
    list[str], typer.Argument(metavar="EXPERIMENT.yaml [key=value ...]", help="An experiment file, then overrides.")
]
OptionalExperiment = Annotated[
    list[str] | None,
    typer.Argument(metavar="[EXPERIMENT.yaml] [key=value ...]", help="An experiment file, then overrides."),
]
RunOrStudy = Annotated[
    str, typer.Argument(metavar="RUN_ID|STUDY", help="A finished run, or a study, which means its best run.")
]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study.")]
Baseline = Annotated[
    str | None, typer.Option(metavar="RUN_ID|STUDY", help="Compare all others with this run or study.")
]
Reported = Annotated[bool, typer.Option(help="Add the source report's results, which are not reproduced here.")]
Wide = Annotated[bool, typer.Option("--wide", help="Show all columns.")]
Top = Annotated[int | None, typer.Option(min=2, help="Take this many of the study's best trials.")]
Teacher = Annotated[str, typer.Option(metavar="RUN_ID|STUDY", help="A finished run, or an ensemble.")]
GroupsFrom = Annotated[
    Path | None,
    typer.Option(metavar="FILE.csv", help="A table of images: columns split, row, and patient or groups."),
]
Prevalence = Annotated[
    float | None, typer.Option(metavar="SHARE", help="Add the results to expect where class 1 has this share.")
]
Storage = Annotated[
    str | None, typer.Option(metavar="URL", help="Database of the studies; sqlite:///optuna.db by default.")
]
Again = Annotated[bool, typer.Option("--again", help="Open the test split, or a cohort, once more for the same study.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything except train and write.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; all else goes to stderr.")]


def split_arguments(arguments: list[str] | None) -> tuple[list[Path], list[str]]:
    """Return the files among positional arguments, and the overrides: a dotted path of fields, ``=`` and a value.

    A file may have a ``=`` in its name or folder: what exists, or has a ``/`` before it, is a file.
    """
    files: list[Path] = []
    overrides: list[str] = []
    for text in arguments or []:
        key, equals, _ = text.partition("=")
        if equals and "/" not in key and not _is_file(text):
            overrides.append(text)
        else:
            files.append(Path(text))
    return files, overrides


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with a sign that none has
        return False


def load_experiment(arguments: list[str] | None, default: Path | None = None, extra: Sequence[str] = ()) -> Config:
    """Load the one experiment that positional arguments name.

    Args:
        arguments: A file and overrides in any order.
        default: The file when none is named; without a default, a file must be named.
        extra: Further overrides, which come last.

    Raises:
        ConfigError: There is no file, there are several, or the file or an override is wrong.
    """
    files, overrides = split_arguments(arguments)
    if len(files) > 1 or (not files and default is None):
        names = f": {', '.join(map(str, files))}" if files else ""
        hint = "overrides have the form key=value" if files else f"for example {EXPERIMENTS.name}/quickstart.yaml"
        raise ConfigError([f"one experiment file is needed, not {len(files)}{names}; {hint}"])
    if not files and default is not None and not default.exists():
        raise ConfigError([f"no {default.parent.name}/{default.name} beside the package; name an experiment file"])
    return load(files[0] if files else default, [*overrides, *extra])
