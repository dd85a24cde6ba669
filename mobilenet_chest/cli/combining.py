"""Commands that make one result of several trainings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenet_chest.cli.reporting import reporting
from mobilenet_chest.errors import ConfigError, UserError

if TYPE_CHECKING:
    from mobilenet_chest.config import Config
    from mobilenet_chest.tracking.runs import Candidate

EXPERIMENTS = Path(__file__).parents[2] / "experiments"

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")]
Top = Annotated[int | None, typer.Option(min=2, help="This many best trials of the study.")]


def ensemble(
    arguments: Annotated[list[str], typer.Argument(metavar="EXPERIMENT.yaml [key=value ...] | STUDY | RUN_ID ...")],
    seeds: Annotated[int | None, typer.Option(min=2, help="Train with this many consecutive seeds.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Train on all but one of so many folds.")] = None,
    top: Top = None,
    as_json: Json = False,
) -> None:
    """Average the probabilities of several trainings: seeds, folds, a study's best trials, or given runs."""
    with reporting():
        from mobilenet_chest.cli import combined
        from mobilenet_chest.cli.live import live_training
        from mobilenet_chest.combine import ensemble as engine

        if [seeds, folds, top].count(None) < 2:
            raise UserError("--seeds, --folds and --top exclude each other; give one")
        if seeds is not None or folds is not None:
            config = experiment(arguments)
            if seeds is not None:
                result = engine.seed_ensemble(config, seeds, live_training)
            else:
                assert folds is not None
                result = engine.fold_ensemble(config, folds, live_training)
        else:
            result = engine.run_ensemble(_candidates(arguments, top))
        combined.combined(result, "ensemble", as_json)


def soup(
    references: Annotated[list[str], typer.Argument(metavar="STUDY | RUN_ID ...")],
    top: Top = None,
    as_json: Json = False,
) -> None:
    """Average the weights of fine-tunings that share a stage-1 start: uniformly or greedily, whichever is better."""
    with reporting():
        from mobilenet_chest.cli import combined
        from mobilenet_chest.combine.soup import soup as make

        combined.combined(make(_candidates(references, top)), "soup", as_json)


def distill(
    arguments: Annotated[list[str], typer.Argument(metavar="EXPERIMENT.yaml [key=value ...]")],
    teacher: Annotated[str, typer.Option(metavar="RUN_ID|STUDY", help="A finished run, or an ensemble.")],
    as_json: Json = False,
) -> None:
    """Train a network with another's probabilities as part of its loss."""
    with reporting():
        from mobilenet_chest.cli import combined
        from mobilenet_chest.cli.live import live_training
        from mobilenet_chest.combine.distill import distill as teach

        combined.member(teach(experiment(arguments), teacher, live_training), teacher, as_json)


def ablate(
    arguments: Annotated[list[str], typer.Argument(metavar="EXPERIMENT.yaml [key=value ...]")],
    over: Annotated[
        str, typer.Option(metavar="PATH[=VALUE][+PATH=VALUE],...", help="Choices, each to be turned on alone.")
    ],
    seeds: Annotated[int | None, typer.Option(min=1, help="Consecutive seeds, the same for all; 3 by default.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Folds of train and val together, instead of seeds.")] = None,
    teacher: Annotated[
        str | None, typer.Option(metavar="RUN_ID|STUDY", help="Teaches where loss.distill_weight is on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn choices on one at a time, against the same baseline in the same seeds or folds."""
    with reporting():
        from mobilenet_chest.cli import combined
        from mobilenet_chest.cli.live import live_training
        from mobilenet_chest.combine import ablate as engine

        if seeds is not None and folds is not None:
            raise UserError("--seeds and --folds exclude each other; give one")
        choices = engine.parse_choices(over)
        rows = engine.ablate(experiment(arguments), choices, seeds or 3, folds, live_training, teacher)
        combined.ablation(rows, "seeds" if folds is None else "folds", as_json)


def baselines(
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[EXPERIMENT.yaml ...] [key=value ...]")] = None,
    ensembles: Annotated[
        list[str] | None, typer.Option("--ensemble", metavar="MODEL=N", help="Add an ensemble of N seeds of a model.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train the recipe and all baselines with the same budget; a table like the source report's.

    Without files: the report's recipe and experiments/baselines, with a five-seed ensemble of densenet121.
    """
    with reporting():
        from mobilenet_chest.cli import combined
        from mobilenet_chest.cli.live import live_training
        from mobilenet_chest.combine.baselines import baselines as run
        from mobilenet_chest.config import load

        files, overrides = _split(arguments or [])
        if not files:
            files = [
                EXPERIMENTS / "chestmnist" / "mobilenet_v3_large.yaml",
                *sorted(EXPERIMENTS.glob("baselines/*.yaml")),
            ]
            ensembles = ensembles or ["densenet121=5"]
        configs = [load(path, overrides) for path in files]
        combined.baselines(run(configs, dict(_ensemble(text) for text in ensembles or []), live_training), as_json)


def experiment(arguments: list[str]) -> Config:
    """One experiment file and overrides.

    Raises:
        ConfigError: There is no file, or there are several.
    """
    from mobilenet_chest.config import load

    files, overrides = _split(arguments)
    if len(files) != 1:
        raise ConfigError(
            [f"one experiment file is needed, not {len(files)}{': ' if files else ''}{', '.join(map(str, files))}"]
        )
    return load(files[0], overrides)


def _split(arguments: list[str]) -> tuple[list[Path], list[str]]:
    return [Path(a) for a in arguments if "=" not in a], [a for a in arguments if "=" in a]


def _candidates(references: list[str], top: int | None) -> list[Candidate]:
    from mobilenet_chest.tracking.runs import find, find_study, top_trials
    from mobilenet_chest.tracking.store import connect

    if any(reference.endswith((".yaml", ".yml")) for reference in references):
        raise UserError("an experiment file needs --seeds N or --folds N; give a study with --top N, or finished runs")
    client = connect()
    if top is None:
        return [candidate for reference in references for candidate in find(client, reference)]
    if len(references) != 1:
        raise UserError(f"--top takes one study, not {len(references)}: {', '.join(references)}")
    return top_trials(client, find_study(client, references[0]), top)


def _ensemble(text: str) -> tuple[str, int]:
    name, equals, count = text.partition("=")
    if not equals or not count.isdigit() or int(count) < 2:
        raise UserError(f"--ensemble {text}: a model and a number from 2 on, such as densenet121=5")
    return name, int(count)
