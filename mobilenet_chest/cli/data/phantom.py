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
) -> None:
    """Write synthetic radiographs in ChestMNIST's layout.

    Example: mobilenet-chest data phantom --out phantom.npz
    """
    with exit_codes():
        if out.suffix != ".npz":
            raise UserError(f"--out {out}: the file's name must end in .npz")
        arrays = generate(size, seed=seed)
        try:
            np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # numpy's stub mistakes ** for allow_pickle
        except OSError as error:
            raise UserError(f"--out {out}: cannot be written ({error.strerror}); choose another folder") from error
        line(str(out))
