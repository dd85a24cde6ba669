"""Measuring fairly on a busy machine: interleaved rounds, medians with their spread, results that survive a kill.

Run as a program, it is the child process of :func:`in_child`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from mobilenet_chest.files import write_whole

Json = dict[str, Any]

WIDTH = 150
"""Columns of a table that goes to a file."""


def spread(values: Sequence[float]) -> Json:
    """Return median, least, greatest and quartiles."""
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "q1": quartiles[0],
        "q3": quartiles[2],
        "n": len(values),
    }


def ratios(slower: Sequence[float], faster: Sequence[float]) -> Json:
    """Return the spread of the ratio within each round: other work on the machine slows both sides of a round."""
    return spread([long / short for long, short in zip(slower, faster, strict=True)])


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


class SavedResults:
    """Results of finished measurements in a JSON file, so that a run that was killed resumes after the last of them.

    The settings are part of the file's name, so results of other settings are neither mixed nor lost.

    Args:
        folder: Where the file is kept.
        name: Name of the case.
        settings: All that the results depend on, as JSON values.
    """

    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]) -> None:
        text = json.dumps(settings, sort_keys=True, default=str)
        self.path = folder / f"{name}.partial-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
        self.results: Json = json.loads(self.path.read_text()) if self.path.exists() else {}

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """Return the result saved under ``key``; measure and save it where there is none."""
        if key not in self.results:
            self.put(key, make())
        return self.results[key]

    def put(self, key: str, value: Any) -> None:
        """Save a result under ``key``."""
        self.results[key] = value
        write_json(self.path, self.results)

    def close(self) -> None:
        """Remove the file, so that the next run measures everything again."""
        self.path.unlink(missing_ok=True)


def interleaved(
    actions: Mapping[str, Callable[[], Any]], rounds: int, saved: SavedResults | None = None
) -> dict[str, list[Any]]:
    """Run A, B, A, B …, so that other work on the machine slows all of them alike.

    Args:
        actions: Each returns what it measured.
        rounds: How often each is run.
        saved: Finished measurements, which are not made again.

    Returns:
        The results of each action, by round.
    """
    results: dict[str, list[Any]] = {name: [] for name in actions}
    for number in range(rounds):
        for name, action in actions.items():
            results[name].append(saved.get(f"{name}, round {number}", action) if saved else action())
    return results


def machine() -> Json:
    """Return what the results depend on besides the code, without a name of the machine."""
    import torch

    from mobilenet_chest.tracking.provenance import code_version

    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load_before": list(os.getloadavg()),
        **code_version(),
    }


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON document in one step, and the folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(value, indent=2) + "\n")


def show(title: str, rows: Sequence[Mapping[str, Any]], notes: Sequence[str], console: Console | None = None) -> None:
    """Print a table with the notes below it."""
    console = console or Console(width=None if sys.stdout.isatty() else WIDTH)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*(cell(row.get(column)) for column in columns))
    console.print(table)
    for note in notes:
        console.print(f"- {note}", markup=False, highlight=False)


def cell(value: Any) -> str:
    """Return a value, or a spread as ``median (min–max)``, in a few characters."""
    if value is None:
        return ""
    if isinstance(value, dict) and {"median", "min", "max"} <= value.keys():
        if value["min"] == value["max"]:
            return cell(value["median"])
        return f"{cell(value['median'])} ({cell(value['min'])}–{cell(value['max'])})"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"
    return str(value)


def in_child(function: str, arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Json:
    """Run a function of a sibling module in another process.

    Args:
        function: ``module:name``; memory of the module's imports is not counted.
        arguments: Keyword arguments, as JSON values.
        environment: Variables to add.

    Returns:
        ``seconds``, ``baseline_mb`` (resident before the call), ``peak_mb`` (greatest resident size during the call
        above that) and ``result``, what the function returned.

    Raises:
        RuntimeError: The process failed; with the end of its standard error.
    """
    command = [sys.executable, str(Path(__file__)), function, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    if done.returncode != 0:
        raise RuntimeError(f"{function} failed with {done.returncode}: {done.stderr[-2000:]}")
    return cast(Json, json.loads(done.stdout.splitlines()[-1]))


def _child(function: str, arguments: str) -> None:
    module, _, name = function.partition(":")
    action = getattr(importlib.import_module(module), name)
    # Linux resets the peak on request, so that imports do not count; elsewhere their peak is the baseline
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    baseline = _peak_mb()
    started = time.perf_counter()
    result = action(**json.loads(arguments))
    seconds = time.perf_counter() - started
    peak = _peak_mb() - baseline
    print(json.dumps({"seconds": seconds, "baseline_mb": baseline, "peak_mb": peak, "result": result}))


def _peak_mb() -> float:
    """Return the greatest resident size so far, in MB (10^6 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


if __name__ == "__main__":
    _child(*sys.argv[1:3])
