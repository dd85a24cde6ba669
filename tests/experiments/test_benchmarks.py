"""The benchmarks: the conventional reference computes the same as our training, and measurements are right."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.training.losses import build_loss
from mobilenet_chest.two_stage import prepare, train

FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks"
PLAIN: dict[str, Any] = {"model.dropout": 0.0, "augment": {"hflip": 0.0}}
"""Nothing random but the order of the rows."""

Make = Callable[..., Config]


@pytest.fixture(autouse=True)
def _benchmarks_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    monkeypatch.setenv("MOBILENET_CHEST_CACHE", "off")


@pytest.fixture
def conventional() -> ModuleType:
    return importlib.import_module("conventional")


@pytest.fixture
def measure() -> ModuleType:
    return importlib.import_module("measure")


class Recorder(torch.optim.SGD):
    """An optimiser that changes nothing and records the gradients of every step."""

    def __init__(self, parameters: list[torch.nn.Parameter]) -> None:
        super().__init__(parameters, lr=0.0)
        self.steps: list[torch.Tensor] = []

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None]
        self.steps.append(torch.cat([gradient.contiguous() for gradient in gradients]).clone())


def in_order(parts: Any) -> Any:
    """Return the same parts with a training loader that keeps the order of the rows."""
    loader = torch.utils.data.DataLoader(parts.train.dataset, batch_size=parts.train.batch_size)
    return dataclasses.replace(parts, train=loader)


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "unfrozen"])
def test_a_step_has_the_loss_and_gradient_of_ours(
    frozen: bool, phantom_config: Make, conventional: ModuleType
) -> None:  # fmt: skip
    """One batch of all rows: their order does not matter then."""
    config = phantom_config(PLAIN | {"optimizer": {"batch_size": 80, "accumulation": 1, "clip_norm": 1.0}})
    parts = conventional.build(config, conventional.read(config))
    conventional.set_frozen(parts, frozen)
    usual = Recorder([p for p in parts.network.parameters() if p.requires_grad])
    usual_loss = conventional.train_epoch(parts, config.optimizer, usual)

    prepared = prepare(config)
    model, rows = prepared.model, prepared.data.train
    model.train()
    if frozen:
        model.backbone.requires_grad_(False).eval()
    ours = Recorder([p for p in model.parameters() if p.requires_grad])
    our_loss = build_loss(config.loss, {})(model(rows.images), rows.labels.float()) / len(rows)
    our_loss.backward()
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    ours.step()

    assert usual_loss == pytest.approx(our_loss.item(), rel=1e-4)
    (usual_step,), (our_step,) = usual.steps, ours.steps
    assert (usual_step - our_step).norm() < 0.01 * our_step.norm()


def test_a_last_incomplete_group_weighs_every_image_alike(phantom_config: Make, conventional: ModuleType) -> None:
    """68 rows in batches of 20 make groups of 40 and of 20 + 8."""
    optimizer = {"batch_size": 20, "accumulation": 2, "clip_norm": None}
    config = phantom_config(PLAIN | {"optimizer": optimizer})
    parts = in_order(conventional.build(config, conventional.read(config)))
    conventional.set_frozen(parts, True)
    learning = list(parts.head.parameters())
    recorder = Recorder(learning)
    conventional.train_epoch(parts, config.optimizer, recorder)

    images, labels = (torch.stack(part) for part in zip(*[parts.train.dataset[i] for i in range(40, 68)], strict=True))
    loss = torch.nn.functional.binary_cross_entropy_with_logits(parts.network(images).squeeze(1), labels)
    expected = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, learning)])
    assert len(recorder.steps) == 2
    torch.testing.assert_close(recorder.steps[-1], expected, rtol=1e-4, atol=1e-6)


def test_images_are_those_of_ours_but_for_rounding(phantom_config: Make, conventional: ModuleType) -> None:
    """PIL rounds and clips between the two passes of a bicubic resize, torch once."""
    config = phantom_config({"data.image_size": 48})
    parts = conventional.build(config, conventional.read(config))
    model = prepare(config).model
    ours = (load_train_val(config.data).val.images.float() - model.mean) / model.std
    usual = torch.cat([images for images, _ in parts.val])
    gray_levels = (usual - ours).abs() * model.std
    assert gray_levels.quantile(0.99) < 1.01
    assert gray_levels.max() < 10


def test_a_frozen_backbone_keeps_its_statistics(phantom_config: Make, conventional: ModuleType) -> None:
    config = phantom_config(PLAIN)
    parts = conventional.build(config, conventional.read(config))
    conventional.set_frozen(parts, True)
    before = {name: value.clone() for name, value in parts.backbone.state_dict().items()}
    conventional.train_epoch(parts, config.optimizer, conventional.stage_optimizer(parts, config.optimizer, 1e-3))
    assert all(torch.equal(value, before[name]) for name, value in parts.backbone.state_dict().items())


def test_both_stages_end_where_ours_end(phantom_config: Make, conventional: ModuleType) -> None:
    """The same losses and AUC epoch by epoch, as far as sums in another order allow."""
    values = {"optimizer": {"batch_size": 80, "accumulation": 1}, "stage1.epochs": 3, "stage2.lr": 1e-4}
    config = phantom_config(PLAIN | values | {"evaluation": {"metric": "val_auc"}})
    usual = conventional.train_two_stage(config, conventional.read(config)).history
    ours = train(config).history
    assert [record["stage"] for record in usual] == [record["stage"] for record in ours] == [1, 1, 1, 2]
    for theirs, our in zip(usual, ours, strict=True):
        assert theirs["train_loss"] == pytest.approx(our["train_loss"], rel=1e-3)
        assert theirs["val_loss"] == pytest.approx(our["val_loss"], rel=1e-2)


def test_a_study_runs_what_is_not_done_yet(phantom_config: Make) -> None:
    config = phantom_config({"stage2.epochs": 0})
    seen: list[dict[str, float]] = []
    done = {"number": 0, "seconds": 1.0, "val_auc": 0.6}
    points = [{"stage1.lr": lr} for lr in (1e-3, 2e-3)]
    records = importlib.import_module("cases_sweep").run_study(config, points, on_trial=seen.append, done=[done])
    assert records == [done, *seen]
    assert [record["number"] for record in records] == [0, 1]


def test_rounds_are_interleaved_and_survive_a_kill(measure: ModuleType, tmp_path: Path) -> None:
    order: list[str] = []

    def action(name: str, fails_at: int = -1) -> Callable[[], int]:
        def run() -> int:
            if len(order) == fails_at:
                raise KeyboardInterrupt
            order.append(name)
            return len(order)

        return run

    settings = {"rows": 1}
    with pytest.raises(KeyboardInterrupt):
        measure.interleaved(
            {"a": action("a"), "b": action("b", fails_at=3)}, 3, measure.SavedResults(tmp_path, "case", settings)
        )
    assert order == ["a", "b", "a"]
    saved = measure.SavedResults(tmp_path, "case", settings)
    assert measure.interleaved({"a": action("a"), "b": action("b")}, 3, saved) == {"a": [1, 3, 5], "b": [2, 4, 6]}
    assert order == ["a", "b"] * 3
    assert measure.SavedResults(tmp_path, "case", {"rows": 2}).results == {}
    saved.close()
    assert list(tmp_path.iterdir()) == []


def test_spread_and_ratios(measure: ModuleType) -> None:
    assert measure.spread([4.0, 1.0, 2.0, 3.0, 10.0]) == {
        "median": 3.0, "min": 1.0, "max": 10.0, "q1": 2.0, "q3": 4.0, "n": 5
    }  # fmt: skip
    assert measure.spread([2.0])["q3"] == 2.0
    # by round: 3, 1, 2; the ratio of the medians would be 20 / 5 = 4
    ratio = measure.ratios([30.0, 5.0, 20.0], [10.0, 5.0, 10.0])
    assert (ratio["median"], ratio["min"], ratio["max"]) == (2.0, 1.0, 3.0)
    assert measure.cell(measure.spread([1.0, 2.0])) == "1.5 (1–2)"


def test_peak_memory_is_that_of_the_call(measure: ModuleType, tmp_path: Path) -> None:
    """Also where the call frees it again, and not what the imports took before."""
    (tmp_path / "taking.py").write_text(
        "before = len(bytearray(b'1' * 100_000_000))\n"
        "def take(size):\n    return len(bytearray(b'1') * size)\n"
    )  # fmt: skip
    results = measure.in_child("taking:take", {"size": 40_000_000}, {"PYTHONPATH": str(tmp_path)})
    assert results["result"] == 40_000_000
    assert 38 < results["peak_mb"] < 50


def test_a_full_size_file_is_read_alike_by_both(measure: ModuleType, tmp_path: Path) -> None:
    reading, children = importlib.import_module("cases_reading"), importlib.import_module("children")
    generator = np.random.default_rng(0)
    labels = {f"{split}_labels": np.eye(14, dtype=np.uint8)[generator.integers(0, 14, 300)] for split in reading.SPLITS}
    np.savez(tmp_path / "labels.npz", **labels)
    path = reading.full_size_file(tmp_path / "labels.npz", 32, tmp_path)
    classes = ["cardiomegaly", "pneumothorax"]
    ours, usual = children.read_ours(str(path), 32, classes), children.read_numpy(str(path), classes)
    assert ours == usual
    assert min(ours["rows"]) > 10
    assert reading.full_size_file(tmp_path / "labels.npz", 32, tmp_path) == path


@pytest.mark.slow
def test_a_quick_run_writes_its_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = importlib.import_module("run")
    assert run.main(["stage1", "recipe", "--quick", "--image-size", "32", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "stage1.json").read_text())
    assert results.keys() == {"case", "about", "machine", "settings", "rows", "notes", "raw"}
    assert [row["variant"] for row in results["rows"]] == [
        "conventional", "ours, cold cache", "ours, features cached", "ours, stage-1 result cached"
    ]  # fmt: skip
    assert all(row["seconds"]["median"] > 0 for row in results["rows"])
    assert str(tmp_path) not in json.dumps(results)
    printed = capsys.readouterr().out
    assert "recipe: skipped, it needs --data FILE.npz" in printed
    assert "cold cache" in printed
    assert {path.name for path in tmp_path.iterdir()} == {"stage1.json", "scratch"}


@pytest.mark.slow
def test_a_quick_sweep_beside_the_conventional_study(tmp_path: Path) -> None:
    run = importlib.import_module("run")
    assert run.main(["sweep", "--quick", "--image-size", "32", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "sweep.json").read_text())["rows"]
    assert rows[0]["variant"] == "conventional"
    assert {row["trials"] for row in rows} == {2}
    assert all(row["seconds"] > 0 for row in rows)


@pytest.mark.slow
@pytest.mark.alone
def test_comparing_500_runs_is_little_more_than_comparing_5(tmp_path: Path) -> None:
    """5 seconds of the processor where comparing 5 runs takes 2.7, as on an otherwise idle machine of two cores.

    The ratio is what is held: where the host of a virtual machine is busy, the same work takes up to twice as long.
    """
    run = importlib.import_module("run")
    arguments = ["--rounds", "3", "--runs", "500", "--val-rows", "305", "--out", str(tmp_path)]
    assert run.main(["compare", "--quick", *arguments]) == 0
    rows = json.loads((tmp_path / "compare.json").read_text())["rows"]
    ways = ["", ", --baseline", ", --baseline --margin"]
    assert [row["command"] for row in rows] == [f"compare of {runs}{way}" for way in ways for runs in (5, 500)]
    seconds = [row["cpu_seconds"]["min"] for row in rows]
    assert 0 < sum(seconds[1::2]) < 1.85 * sum(seconds[::2])


@pytest.mark.slow
def test_compressed_files_beside_their_original(tmp_path: Path) -> None:
    run = importlib.import_module("run")
    arguments = ["compressed", "--quick", "--model", "mobilenet_v3_small", "--image-size", "32", "--out", str(tmp_path)]
    assert run.main(arguments) == 0
    results = json.loads((tmp_path / "compressed.json").read_text())
    assert [row["method"] for row in results["rows"]] == ["float32", "int8", "int8-qat", "fp16"]
    assert {row["model"] for row in results["rows"]} == {"mobilenet_v3_small"}
    sizes = {row["method"]: row["of_original"] for row in results["rows"]}
    assert max(sizes["int8"], sizes["int8-qat"]) < sizes["fp16"] < sizes["float32"] == 1
    assert all(row["p50_ms"] > 0 for row in results["rows"])
    assert [bool(row["auc_difference"] and row["accuracy_difference"]) for row in results["rows"]] == [
        False, True, True, True
    ]  # fmt: skip


@pytest.mark.slow
def test_a_training_beside_a_busy_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases, run = importlib.import_module("cases_neighbour"), importlib.import_module("run")
    for name in (*cases.WAITING_VARIABLES, cases.THREADS_VARIABLE):
        monkeypatch.setenv(name, "1")  # the case says it itself
    monkeypatch.setattr(cases, "VARIANTS", {name: cases.VARIANTS[name] for name in (cases.ALONE, cases.DEFAULT)})
    assert run.main(["neighbour", "--quick", "--image-size", "32", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "neighbour.json").read_text())
    assert [row["variant"] for row in results["rows"]] == [
        "one thread", "torch's default", "one thread, busy", "torch's default, busy"
    ]  # fmt: skip
    assert all(row["images_per_second"]["median"] > 0 for row in results["rows"])


@pytest.mark.slow
def test_what_is_ready_for_a_gpu_runs_on_the_cpu(tmp_path: Path) -> None:
    gpu = importlib.import_module("gpu")
    command = ["--small", "--out", str(tmp_path)]
    assert gpu.main([*command, "--seconds", "-1"]) == 1  # no time: everything is missing, and is measured by the next
    assert json.loads((tmp_path / "gpu.json").read_text())["results"] == {}
    assert gpu.main(command) == 0
    results = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert list(results) == ["equality", "recipe fp32", "ours fp32 0", "conventional fp32 0", "busy fp32"]
    assert results["recipe fp32"]["epochs"] == 2
    assert len(results["equality"]["losses"]["cpu"]) == 4
    rates = [results[f"{loop} fp32 0"]["images_per_second"] for loop in ("ours", "conventional")]
    assert min(rates) > 0
    page = (tmp_path / "gpu.md").read_text()
    cells = [importlib.import_module("measure").cell(rate) for rate in (*rates, rates[0] / rates[1])]
    assert f"| fp32 | {cells[0]} | {cells[1]} | {cells[2]} |  |" in page
    assert str(tmp_path) not in page + json.dumps(results)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("gpu").main([])
    assert ended.value.code == 2
    assert "--small" in capsys.readouterr().err
