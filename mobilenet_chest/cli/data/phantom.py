"""The command ``data phantom``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line
from mobilenet_chest.data.phantom import generate
from mobilenet_chest.errors import UserError


def phantom(
    out: Annotated[Path, typer.Option(help="FILE.npz to write.")],
    size: Annotated[int, typer.Option(help="Side in pixels.")] = 64,
    seed: Annotated[int, typer.Option(min=0)] = 2024,
    site: Annotated[
        str, typer.Option(metavar="A|B|A,B", help="Scanner: B has other gain, noise and borders; A,B: rows of both.")
    ] = "A",
) -> None:
    """Write synthetic radiographs in ChestMNIST's layout.

    Example: mobilenet-chest data phantom --out elsewhere.npz --site B
    """
    with exit_codes():
        if out.suffix != ".npz":
            raise UserError(f"--out {out}: the file's name must end in .npz")
        arrays = generate(size, seed=seed, sites=site.split(","))
        try:
            np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # numpy's stub mistakes ** for allow_pickle
        except OSError as error:
            raise UserError(f"--out {out}: cannot be written ({error.strerror}); choose another folder") from error
        line(str(out))
