"""Commands about what lies on the disk: data files, and the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobilenet_chest.cli.reporting import reporting
from mobilenet_chest.errors import NotDelivered, UserError

data_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Data sets: what there is, download, synthetic files."
)
cache_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Results kept for later trials: list them, remove them."
)


def repair(
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="The studies; sqlite:///optuna.db by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")] = False,
) -> None:
    """Bring MLflow what waits for it on the disk, and MLflow and Optuna into agreement; can be run at any time."""
    with reporting():
        from mobilenet_chest.cli import output
        from mobilenet_chest.sweep.repair import repair as mend
        from mobilenet_chest.tracking.outbox.delivery import left, what_waits

        done = mend(storage)
        if as_json:
            output.print_json({"done": done})
        else:
            for text in done or ["nothing to repair"]:
                output.line(text)
        if waiting := left():
            raise NotDelivered(what_waits(waiting))


@data_app.command("info")
def data_info(source: Annotated[str | None, typer.Argument(metavar="[DATASET|FILE.npz]")] = None) -> None:
    """Data sets with their labels, or what a file holds."""
    with reporting():
        from mobilenet_chest.cli import output

        output.data_info(source)


@data_app.command("fetch")
def data_fetch(
    dataset: Annotated[str, typer.Argument(metavar="DATASET")],
    size: Annotated[int, typer.Option(help="28, 64, 128 or 224 pixels.")] = 28,
    root: Annotated[Path, typer.Option(help="Folder to keep it in.")] = Path("~/.medmnist"),
) -> None:
    """Download a MedMNIST file, resuming and checking its MD5."""
    with reporting():
        from mobilenet_chest.cli import output
        from mobilenet_chest.data.medmnist import fetch_dataset

        output.line(str(fetch_dataset(dataset, size, root.expanduser())))


@data_app.command("phantom")
def data_phantom(
    out: Annotated[Path, typer.Option(help="FILE.npz to write.")],
    size: Annotated[int, typer.Option(help="Side in pixels.")] = 64,
    seed: Annotated[int, typer.Option(min=0)] = 2024,
) -> None:
    """Write synthetic radiographs in ChestMNIST's layout."""
    with reporting():
        import numpy as np

        from mobilenet_chest.cli import output
        from mobilenet_chest.data.phantom import generate

        if out.suffix != ".npz":
            raise UserError(f"--out {out}: the file's name must end in .npz")
        arrays = generate(size, seed=seed)
        try:
            np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # numpy's stub mistakes ** for allow_pickle
        except OSError as error:
            raise UserError(f"--out {out}: cannot be written ({error.strerror}); choose another folder") from error
        output.line(str(out))


@cache_app.command("ls")
def cache_ls() -> None:
    """What is kept, and how much room it takes."""
    with reporting():
        from mobilenet_chest import cache
        from mobilenet_chest.cli import output

        output.cache_entries(cache.folder(), cache.entries(), cache.limit())


@cache_app.command("clear")
def cache_clear() -> None:
    """Remove all of it but what is being written at this moment."""
    with reporting():
        from mobilenet_chest import cache
        from mobilenet_chest.cli import output

        output.line(f"{cache.clear() / 1e6:.0f} MB freed")
