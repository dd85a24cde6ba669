"""Every command with its arguments. Heavy imports happen inside, so that ``--help`` answers at once."""

from __future__ import annotations

import atexit
import gc
import json
import re
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mobilenet_chest import interrupts
from mobilenet_chest.cli import auditing, combining, comparing, evaluating, points
from mobilenet_chest.cli.ledger import ledger
from mobilenet_chest.cli.reporting import reporting
from mobilenet_chest.cli.reports import report
from mobilenet_chest.cli.stores import cache_app, data_app, repair
from mobilenet_chest.errors import ConfigError, UserError, WriteFailed

if TYPE_CHECKING:
    from mobilenet_chest.config import Config
    from mobilenet_chest.sweep.local_workers import Launcher

QUICKSTART = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Sweeps over two-stage fine-tuning of medical image classifiers, tracked in MLflow.",
)
app.add_typer(data_app, name="data")
app.add_typer(cache_app, name="cache")
for command in (combining.ensemble, combining.soup, combining.distill, combining.ablate, combining.baselines):
    app.command()(command)
app.command()(comparing.compare)
app.command()(evaluating.evaluate)
app.command()(repair)
app.command()(ledger)
app.command()(points.points)
data_app.command("audit")(auditing.audit)
app.command()(report)

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[EXPERIMENT.yaml] [key=value ...]", help="Experiment, then overrides.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")]
Again = Annotated[bool, typer.Option("--again", help="Open the test split once more for the same study.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything but train or write.")]


def main(command: str | None = None) -> None:
    """Run a command line.

    Args:
        command: Take ``sys.argv`` as the arguments of this command, as ``sweep.py`` and ``train.py`` do.
    """
    interrupts.install(signal.SIGINT, signal.SIGTERM)
    # the interpreter's last collection walks all objects of torch and mlflow, which takes more than a second
    atexit.register(gc.freeze)
    if command is None:
        app(prog_name="mobilenet-chest")
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        front_doors: dict[str, Callable[..., None]] = {"sweep": sweep, "train": train}
        single.command()(front_doors[command])
        single(prog_name=f"{command}.py")


@app.command()
def sweep(
    arguments: Overrides = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials of the study in all.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the trials.")] = 1,
    timeout: Annotated[str | None, typer.Option(help="Begin no trial after this time: 90s, 30m, 2h, 1d.")] = None,
    study: Annotated[str | None, typer.Option(help="Name of the study; the experiment's name by default.")] = None,
    storage: Annotated[str | None, typer.Option(help="SQLAlchemy address; sqlite:///optuna.db by default.")] = None,
    launcher: Annotated[
        Literal["local", "ray"], typer.Option(help="Workers are processes of this machine, or actors of a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The Ray cluster; by default one on this machine.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Start or continue a sweep. Without arguments: experiments/quickstart.yaml."""
    with reporting():
        if address is not None and launcher != "ray":
            raise UserError(f"--address {address} is that of a Ray cluster; add --launcher ray, or leave it out")
        path, given = _experiment(arguments, default=QUICKSTART)
        extra = [f"study.trials={trials}"] if trials is not None else []
        extra += [f"study.name={json.dumps(study)}"] if study is not None else []
        config, seconds = _load(path, [*given, *extra]), _seconds(timeout)
        from mobilenet_chest import sweep as engine
        from mobilenet_chest.cli import output, swept
        from mobilenet_chest.cli.live import live_sweep

        with _launching(launcher, config, workers, storage, address) as launch:
            if dry_run:
                prepared, to_come = engine.check(config, storage), engine.remaining_trials(config, storage)
                again = engine.remaining_confirmations(config, storage)
            else:
                with live_sweep(config, quiet=as_json) as on_status:
                    result = engine.run_sweep(
                        config, workers=workers, timeout=seconds, storage=storage, launch=launch, on_status=on_status
                    )
        if dry_run:
            output.dry_run(config, prepared, as_json, trials=to_come, confirmations=again)
        else:
            swept.sweep(config, result, as_json)


@app.command()
def train(
    arguments: Overrides = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN_ID", help="Go on with an interrupted run.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train one model."""
    with reporting():
        path, given = _experiment(arguments, default=None)
        config = _load(path, given)
        from mobilenet_chest import two_stage
        from mobilenet_chest.cli import output
        from mobilenet_chest.cli.live import live_training
        from mobilenet_chest.tracking import MlflowTracker
        from mobilenet_chest.tracking.store import check_reachable
        from mobilenet_chest.training import stages

        check_reachable()
        prepared = stages.prepare(config)
        if dry_run:
            output.dry_run(config, prepared, as_json)
            return
        stands = None
        if resume is not None:
            from mobilenet_chest.selection.resume import find_resume_point

            stands = find_resume_point(resume, config)
            where = f"after epoch {stands.progress.epoch}" if stands else "from the beginning: no epoch of it was kept"
            typer.echo(f"run {resume} goes on {where}", err=True)
        tracker = MlflowTracker(resume=resume)
        with live_training(config) as on_epoch:
            try:
                result = two_stage.train(config, tracker, on_epoch, resume=stands)
            except (KeyboardInterrupt, WriteFailed) as error:
                again = f"; the same command with --resume {tracker.run_id} goes on" if tracker.run_id else ""
                typer.echo(f"{str(error) or 'interrupted'}{again}", err=True)
                sys.exit(getattr(error, "exit_code", 130))
        output.training(config, result, as_json)


@app.command()
def promote(
    reference: Annotated[
        str | None, typer.Argument(metavar="STUDY|RUN_ID", help="With --rollback: the registered model.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Registered model; the experiment's name by default.")] = None,
    alias: Annotated[str, typer.Option(help="Alias to move.")] = "champion",
    even_if_worse: Annotated[bool, typer.Option("--even-if-worse", help="Also where the alias has a better run.")] = (
        False
    ),
    again: Again = False,
    back: Annotated[bool, typer.Option("--rollback", help="The alias goes back to where it stood before.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Register the best run, prove the registered model, move the alias. Evaluates the sealed test split once."""
    with reporting():
        wanted = "the registered model: promote --rollback NAME" if back else "a study or run: promote STUDY|RUN_ID"
        named = (name or reference) if back else reference
        if named is None or (back and (even_if_worse or again or (name and reference not in (None, name)))):
            raise UserError(f"promote: name {wanted}" + (", and nothing else" if named else ""))
        from mobilenet_chest.cli import output
        from mobilenet_chest.errors import PromotionRefused
        from mobilenet_chest.registry.promote import promote as run
        from mobilenet_chest.registry.rollback import rollback

        try:
            done = rollback(named, alias, dry_run) if back else run(named, name, alias, dry_run, even_if_worse, again)
            output.promotion(done, as_json)
        except PromotionRefused as refusal:
            if as_json:
                output.print_json({"name": named if back else name, "version": None, "alias": alias, "run_id": None,
                                   "promoted": False, "reasons": list(refusal.reasons), "test": {},
                                   "gates": [asdict(verdict) for verdict in refusal.gates]})  # fmt: skip
            else:
                output.gates(refusal.gates)
            raise


@app.command()
def predict(
    model_uri: Annotated[
        str, typer.Argument(metavar="MODEL_URI", help="models:/NAME@champion or models:/NAME/VERSION.")
    ],
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=".npz, .npy, or a folder or file of PNG or JPEG.")],
    out: Annotated[Path, typer.Option(help="FILE.csv or FILE.parquet.")],
) -> None:
    """Predict images with a registered model."""
    with reporting():
        from mobilenet_chest.cli import output
        from mobilenet_chest.registry.predict import predict_files

        output.line(f"{predict_files(model_uri, source, out)} predictions in {out}")


@app.command()
def schema() -> None:
    """Print the JSON schema of experiment files, for editors."""
    from mobilenet_chest.config import Config

    sys.stdout.write(json.dumps(Config.model_json_schema(), indent=2) + "\n")


@app.command()
def doctor() -> None:
    """What is installed, reachable and cached; exit code 1 when the main job could not run."""
    with reporting():
        from mobilenet_chest.cli import output
        from mobilenet_chest.cli.doctor import examine

        if not output.examination(examine()):
            raise typer.Exit(1)


def _experiment(arguments: list[str] | None, default: Path | None) -> tuple[Path, list[str]]:
    """Split positional arguments into the experiment file and its overrides."""
    files = [argument for argument in arguments or [] if "=" not in argument]
    if len(files) > 1:
        raise ConfigError(
            [f"two experiment files given: {', '.join(files)}; name one, overrides have the form key=value"]
        )
    if not files and default is None:
        raise ConfigError(["which experiment? for example: train.py experiments/chestmnist/mobilenet_v3_large.yaml"])
    if not files and default is not None and not default.exists():
        raise ConfigError(["no experiments/quickstart.yaml beside the package; name an experiment file"])
    path = Path(files[0]) if files else default
    assert path is not None
    return path, [argument for argument in arguments or [] if "=" in argument]


def _load(path: Path, overrides: list[str]) -> Config:
    from mobilenet_chest.config import load

    return load(path, overrides)


def _launching(
    launcher: str, config: Config, workers: int, storage: str | None, address: str | None
) -> AbstractContextManager[Launcher | None]:
    if launcher == "local":
        return nullcontext()
    from mobilenet_chest.sweep.ray_workers import on_ray

    return on_ray(config, workers, storage=storage, address=address)


def _seconds(timeout: str | None) -> float | None:
    if timeout is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", timeout)
    if match is None:
        raise UserError(f"--timeout {timeout}: a number and a unit, such as 90s, 30m, 2h or 1d")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
