"""Run benchmarks: ``python experiments/benchmarks/run.py [CASE ...] [options]``.

The command prints a table for each case and writes ``FOLDER/<case>.json``. After a kill, the same command resumes where
the run stopped.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common import Case

MODULES = ("cases_training", "cases_reading", "cases_services", "cases_sweep", "cases_compare", "cases_recipe",
           "cases_neighbour", "cases_http", "cases_saturation", "cases_serving", "cases_pruning",
           "cases_monitoring", "cases_engines", "cases_compressed", "cases_small_maps")  # fmt: skip

QUICK: dict[str, Any] = {
    "rounds": 1, "rows": 32, "val_rows": 16, "stored_size": 32, "image_size": 64, "stage1_epochs": 2,
    "measured_epochs": 1, "sweep_epochs": [1, 1], "trials": 2, "scaling_rows": [24, 32], "scaling_epochs": [1, 1],
    "scaling_trials": 2, "workers": [1], "reading_sizes": [16], "repeats": 3, "finished_trials": [5, 10],
    "recipe_rows": 32, "recipe_epochs": [1, 3], "seeds": [1], "reports": 2, "runs": 5,
}  # fmt: skip
"""Sizes of a smoke test: each case takes seconds, and its results mean nothing."""

PLACES = ("cases", "out", "scratch")
"""Options that change no result."""

HOW_OFTEN = ("rounds", "seeds", "workers", "each")
"""Options that change which measurements are made, not their results: saved ones stay valid."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases and return the exit code. A case that cannot be run says so, and the others are run."""
    cases = load_cases()
    options = parse(arguments, cases)
    import measure
    from common import cold_cache

    from mobilenet_chest.errors import MobilenetChestError

    exit_code = 0
    for name in options.cases or cases:
        case = cases[name]
        missing = [f"--{need}" for need in case.needs if getattr(options, need) is None]
        if missing:
            print(f"{name}: skipped, it needs {' and '.join(missing)} FILE.npz")
            continue
        settings = {key: value for key, value in vars(options).items() if key not in PLACES}
        saved = measure.SavedResults(options.out, name, {k: v for k, v in settings.items() if k not in HOW_OFTEN})
        machine = measure.machine()
        try:
            with cold_cache():  # the user's cache is neither read nor filled
                result = case.run(options, saved)
        except MobilenetChestError as error:
            print(f"{name}: {error}", file=sys.stderr)
            exit_code = error.exit_code
            continue
        plain = {key: _plain(value) for key, value in settings.items()}
        header = {"case": name, "about": case.about, "machine": machine, "settings": plain}
        measure.write_json(options.out / f"{name}.json", header | result)
        saved.close()
        notes = [f"{key}: {value}" for key, value in machine.items()]
        measure.show(f"{name}: {case.about}", result["rows"], [*result["notes"], ", ".join(notes)])
    return exit_code


def load_cases() -> dict[str, Case]:
    """Return all cases by name, in order. They are imported here because worker processes import this module, too."""
    cases: dict[str, Case] = {}
    for module in MODULES:
        cases |= importlib.import_module(module).CASES
    return cases


def parse(arguments: Sequence[str] | None, cases: dict[str, Case]) -> argparse.Namespace:
    """Parse the options. ``--quick`` changes the defaults, so an option beside it keeps its value."""
    listed = "\n".join(f"  {name:<13} {case.about}" for name, case in cases.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"cases:\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("cases", nargs="*", metavar="CASE", help="by default all that need no file")
    add("--out", type=Path, default=Path("benchmark_results"), help="folder of the JSON files")
    add("--scratch", type=Path, help="folder of data files; OUT/scratch by default")
    add("--quick", action="store_true", help="tiny sizes: a smoke test")
    add("--rounds", type=int, default=5, help="interleaved rounds (%(default)s)")
    add("--data", type=Path, help="PneumoniaMNIST, or a file in ChestMNIST's layout; synthetic radiographs otherwise")
    add("--labels", type=Path, help="labels of the full ChestMNIST, for case reading")
    add("--model", help="the case's own by default")
    add("--weights", help="the case's own by default: none, for the recipe imagenet")
    add("--rows", type=int, default=480, help="training rows (%(default)s)")
    add("--val-rows", type=int, default=96, help="validation rows (%(default)s)")
    add("--stored-size", type=int, default=64, help="side of synthetic images as stored (%(default)s)")
    add("--image-size", type=int, default=128, help="side the network sees (%(default)s)")
    add("--loader-workers", type=int, default=0, help="processes of the conventional DataLoader (%(default)s)")
    add("--stage1-epochs", type=int, default=30, help="case stage1 (%(default)s)")
    add("--measured-epochs", type=int, default=3, help="epochs measured of a longer stage (%(default)s)")
    add("--unfreeze-from", type=int, nargs="*", default=[], metavar="BLOCK", help="case stage2: further variants")
    add("--workers", type=int, nargs="+", default=[1, 2], help="of sweeps (1 2)")
    add("--sweep-epochs", type=int, nargs=2, default=[30, 10], metavar="N", help="of the two stages (30 10)")
    add("--trials", type=int, default=20, help="configurations of a sweep (%(default)s)")
    add("--cheap", nargs="*", type=_pair, metavar="KEY=VALUE", help="cheaper fidelities; nothing: none")
    add("--each", action="store_true", help="case recipe: each of the cheaper fidelities alone, too")
    add("--cheap-sampler", default="grid", choices=["grid", "tpe", "random", "qmc"], help="case time_to_best")
    add("--cheap-pruner", default="median", choices=["median", "hyperband", "none"], help="case time_to_best")
    add("--recipe-rows", type=int, default=2306, help="case recipe (%(default)s)")
    add("--recipe-epochs", type=int, nargs=2, default=[30, 120], metavar="N", help="of the two stages (30 120)")
    add("--seeds", type=int, nargs="+", default=[2024, 2025, 2026], help="case recipe (2024 2025 2026)")
    add("--scaling-rows", type=int, nargs="+", default=[120, 240, 480, 960], help="case scaling (120 240 480 960)")
    add("--scaling-epochs", type=int, nargs=2, default=[5, 2], metavar="N", help="case scaling (5 2)")
    add("--scaling-trials", type=int, default=6, help="case scaling, of a tiny sweep (%(default)s)")
    add("--reading-sizes", type=int, nargs="+", default=[128, 224], help="case reading (128 224)")
    add("--repeats", type=int, default=50, help="cases tracking and ask_tell (%(default)s)")
    add("--finished-trials", type=int, nargs="+", default=[10, 100, 1000, 5000], help="ask_tell (10 100 1000 5000)")
    add("--reports", type=int, default=10, help="case ask_tell: reports in a finished trial (%(default)s)")
    add("--runs", type=int, default=500, help="case compare (%(default)s)")
    if "--quick" in (sys.argv[1:] if arguments is None else arguments):
        parser.set_defaults(**QUICK)
    options = parser.parse_args(arguments)
    unknown = [name for name in options.cases if name not in cases]
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; there are: {', '.join(cases)}")
    for name in ("data", "labels"):
        path = getattr(options, name)
        if path is not None and not path.is_file():
            parser.error(f"--{name} {path}: no such file")
    options.cheap = None if options.cheap is None else dict(options.cheap)
    # absolute: a sweep's working folder is its own store
    for name in ("out", "data", "labels"):
        path = getattr(options, name)
        setattr(options, name, None if path is None else path.absolute())
    options.scratch = (options.scratch or options.out / "scratch").absolute()
    return options


def _pair(text: str) -> tuple[str, Any]:
    import yaml

    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    return key, yaml.safe_load(value)


def _plain(value: Any) -> Any:
    """Return a file by its name alone: results name no folders of this machine."""
    return value.name if isinstance(value, Path) else value


if __name__ == "__main__":
    sys.exit(main())
