"""Code of the user's own from the training to the registry: the same file by digest, or one clear refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.commands import assert_one_line, run
from helpers.plugin_files import ALL, PLUGIN, Make
from mlflow import MlflowClient

from mobilenet_chest import cache, plugins
from mobilenet_chest.api import compare, predict, promote, train
from mobilenet_chest.config import to_yaml
from mobilenet_chest.errors import ConfigError, PluginFailed
from mobilenet_chest.selection.evaluate import evaluate, stored_intervals
from mobilenet_chest.selection.resume import find_resume_point
from mobilenet_chest.sweep import run_sweep
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.tracking.tracker import MlflowTracker

LONGER = {"stage2": {"epochs": 3, "lr": 1e-3}}


def interrupted(config: Any) -> str:
    """Train until the second epoch; return the run."""

    def stop(epoch: int, _record: object) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    tracker = MlflowTracker()
    with pytest.raises(KeyboardInterrupt):
        train(config, tracker, stop)
    return str(tracker.run_id)


def test_a_run_has_the_metric_with_its_interval(tracking: Path, with_plugin: Make) -> None:
    result = train(with_plugin(ALL), track=True)
    run = MlflowClient().get_run(str(result.run_id))
    assert metrics_of(run)["val_f2"] == result.metrics["val_f2"]
    history = metric_history(MlflowClient(), str(result.run_id), "val_f2")
    assert [point.step for point in history] == [1, 2, 0]  # two epochs, and the run's own
    compared = compare(result, baseline=result, metric="val_f2").rows[0]
    assert compared.intervals["val_f2"].value == result.metrics["val_f2"]
    best = result.history[int(result.metrics["best_epoch"]) - 1]
    assert best["val_f2"] == pytest.approx(result.metrics["val_f2"], abs=1e-9)
    plugins.activate([])
    interval = result.intervals("val_f2")["val_f2"]
    assert interval.low <= interval.value <= interval.high


def test_a_metric_that_fails_in_mid_training_keeps_what_was_done(
    tracking: Path, with_plugin: Make, plugin_file: Path
) -> None:
    counting = "calls = []\n" + PLUGIN.replace(
        "    positive =", "    calls.append(1)\n    len(calls) > 2 and 1 / 0\n    positive ="
    )
    plugin_file.write_text(counting)
    with pytest.raises(PluginFailed, match="metric 'val_f2' raised ZeroDivisionError"):
        train(with_plugin(ALL), track=True)
    (experiment,) = MlflowClient().search_experiments(filter_string="name = 'tiny'")
    (run,) = MlflowClient().search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    point = find_resume_point(run.info.run_id, with_plugin(ALL))
    assert point is not None
    assert point.progress.epoch == 1


def test_a_resumed_training_equals_an_uninterrupted_one(tracking: Path, with_plugin: Make) -> None:
    config = with_plugin(ALL, LONGER)
    whole = train(config)
    run_id = interrupted(config)
    point = find_resume_point(run_id, config)
    assert point is not None
    resumed = train(config, MlflowTracker(resume=run_id), resume=point)
    assert np.array_equal(resumed.predictions.probability, whole.predictions.probability)


def test_a_run_is_resumed_with_the_same_file_only(tracking: Path, with_plugin: Make, plugin_file: Path) -> None:
    run_id = interrupted(with_plugin(ALL, LONGER))
    digest = with_plugin(ALL, LONGER).plugins[0].sha256
    plugin_file.write_text(PLUGIN + "\n# edited\n")
    with pytest.raises(ConfigError, match=f"plugin mine.py of sha256 {digest[:12]}"):
        find_resume_point(run_id, with_plugin(ALL, LONGER))
    plugin_file.write_text(PLUGIN)
    assert find_resume_point(run_id, with_plugin(ALL, LONGER)) is not None
    with pytest.raises(ConfigError, match="another experiment"):
        find_resume_point(run_id, with_plugin(ALL, LONGER, {"seed": 8}))


def test_caches_know_the_plugin(with_plugin: Make, plugin_file: Path) -> None:
    head_only = ALL | {"augment": {}, "stage2": {"epochs": 0}}

    def kinds() -> list[str]:
        train(with_plugin(head_only))
        return sorted(entry.kind for entry in cache.entries())

    first = kinds()
    assert {"features", "stage1"} <= set(first)
    assert kinds() == first  # all of it was reused
    plugin_file.write_text(PLUGIN + "\n# edited\n")
    assert kinds().count("stage1") == 2 * first.count("stage1")
    assert kinds().count("features") == 2 * first.count("features")


def test_a_sweep_by_a_plugin_s_metric(here: Path, with_plugin: Make) -> None:
    search = {"search": {"augment.custom.gamma": {"low": 0.1, "high": 0.5}}}
    study = {"study": {"metric": "val_f2", "trials": 2, "pruner": "none"}}
    result = run_sweep(with_plugin(ALL, search, study))
    assert [trial.state for trial in result.trials] == ["COMPLETE", "COMPLETE"]
    assert set(result.ties.intervals) == {0, 1}
    assert result.metric == "val_f2"
    assert "<th>val_f2</th>" in result._repr_html_()


@pytest.mark.slow
def test_worker_processes_run_the_plugin_too(tracking: Path, with_plugin: Make) -> None:
    search = {"search": {"augment.custom.gamma": {"low": 0.1, "high": 0.5}}}
    result = run_sweep(with_plugin(ALL, search, {"study": {"metric": "val_f2", "trials": 2}}), workers=2)
    assert [trial.state for trial in result.trials] == ["COMPLETE", "COMPLETE"]


def test_a_run_of_an_own_model_is_refused_without_the_file(
    tracking: Path, with_plugin: Make, forgotten: Callable[[], None]
) -> None:
    run_id = str(train(with_plugin(ALL), track=True).run_id)
    forgotten()
    assert compare(run_id).rows[0].metrics["val_f2"] >= 0  # needs no code
    for work in (lambda: evaluate(run_id, "val"), lambda: promote(run_id)):
        with pytest.raises(ConfigError, match="needs the plugin mine.py") as error:
            work()
        assert plugins.VARIABLE in str(error.value)
    assert MlflowClient().search_registered_models() == []


@pytest.mark.slow
def test_a_run_of_an_own_model_is_promoted_with_the_file_named_again(
    tracking: Path, with_plugin: Make, plugin_file: Path, chest_file: Path, forgotten: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run_id = str(train(with_plugin(ALL), track=True).run_id)
    forgotten()
    monkeypatch.setenv(plugins.VARIABLE, str(plugin_file))
    assert evaluate(run_id, "val").metrics["val_auc"] > 0
    assert promote(run_id).promoted
    monkeypatch.delenv(plugins.VARIABLE)
    forgotten()
    plugin_file.unlink()
    with np.load(chest_file) as file:
        table = predict("models:/tiny@champion", file["val_images"][:3])
    assert table["probability"].between(0, 1).all()  # the registered model is an exported program


def test_a_metric_is_compared_with_the_file_named_here(
    tracking: Path, with_plugin: Make, plugin_file: Path, forgotten: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    head_only = {"stage2": {"epochs": 0}}
    logged = train(with_plugin(head_only), track=True)
    without = train(with_plugin(head_only, {"plugins": [], "seed": 8}), track=True)
    names = [str(logged.run_id), str(without.run_id)]
    forgotten()
    monkeypatch.setattr(plugins, "load_file", None)  # nothing is run
    line = assert_one_line("compare", *names, "--metric", "val_f2", wants=plugins.VARIABLE)
    assert "val_auc_tta" in line
    monkeypatch.undo()
    monkeypatch.chdir(tracking)
    monkeypatch.setenv(plugins.VARIABLE, str(plugin_file))
    shown = run("compare", names[1], "--baseline", names[0], "--metric", "val_f2", "--json")
    assert shown.exit_code == 0, shown.output
    first, second = json.loads(shown.stdout)["rows"]
    assert first["metrics"]["val_f2"] == logged.metrics["val_f2"]
    assert set(first["intervals"]) & set(second["intervals"]) >= {"val_f2"}
    difference = second["metrics"]["val_f2"] - first["metrics"]["val_f2"]
    assert second["differences"]["val_f2"]["value"] == pytest.approx(difference)
    assert plugins.names("metric") == []  # at work for the comparison only


def test_a_metric_of_another_file_is_told_from_the_run_s(
    tracking: Path, with_plugin: Make, plugin_file: Path, forgotten: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    result = train(with_plugin({"stage2": {"epochs": 0}}), track=True)
    forgotten()
    monkeypatch.setenv(plugins.VARIABLE, str(plugin_file))
    plugin_file.write_text(PLUGIN.replace("return 5 *", "return 0.5 + 5 *"))
    row = compare(result, metric="val_f2").rows[0]
    assert row.metrics["val_f2"] == pytest.approx(result.metrics["val_f2"] + 0.5)
    assert f"run {str(result.run_id)[:8]}: val_f2 was {result.metrics['val_f2']:.6g} in its training" in caplog.text
    plugin_file.write_text(PLUGIN.replace("return 5 *", "return 1 / 0 *"))
    (row,) = compare(result, metric="val_f2").rows
    assert row.metrics["val_f2"] == result.metrics["val_f2"]
    assert "val_f2" not in row.intervals
    assert f"val_f2 of {plugin_file} fails" in caplog.text
    plugin_file.write_text("def broken(:\n")
    assert_one_line("compare", str(result.run_id), "--metric", "val_f2", wants="line 1: invalid syntax")


def test_the_test_split_is_scored_by_the_plugin_at_work(
    tracking: Path, with_plugin: Make, plugin_file: Path, forgotten: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run_id = str(train(with_plugin({"stage2": {"epochs": 0}}), track=True).run_id)
    forgotten()
    assert "test_f2" not in evaluate(run_id, "test").metrics
    monkeypatch.setenv(plugins.VARIABLE, str(plugin_file))
    scored = evaluate(run_id, "test", again=True)
    interval = scored.intervals["test_f2"]
    assert interval.low <= scored.metrics["test_f2"] <= interval.high
    run = MlflowClient().get_run(run_id)
    assert metrics_of(run)["test_f2"] == scored.metrics["test_f2"]
    assert stored_intervals(MlflowClient(), run, "test", scored.metrics)["test_f2"] == interval


def test_a_run_has_a_copy_of_its_plugin_as_it_was_run(tracking: Path, with_plugin: Make, plugin_file: Path) -> None:
    config = with_plugin({"stage2": {"epochs": 0}})
    plugin_file.write_text("raise SystemExit('edited')\n")
    run_id = str(train(config, track=True).run_id)
    (copy,) = (tracking / "mlruns").rglob("mine.py")
    assert copy.read_text() == PLUGIN
    assert copy.parts[-5:] == (run_id, "artifacts", "plugins", config.plugins[0].sha256[:12], "mine.py")


def test_a_run_of_an_own_augmentation_is_promoted_without_it(
    tracking: Path, with_plugin: Make, forgotten: Callable[[], None]
) -> None:
    run_id = str(train(with_plugin({"augment": {"custom": {"gamma": 0.3}}}), track=True).run_id)
    forgotten()
    assert evaluate(run_id, "val").metrics["val_auc"] > 0


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_dry_run_shows_plugins_or_one_line(
    tracking: Path, with_plugin: Make, plugin_file: Path, command: str
) -> None:
    (tracking / "x.yaml").write_text(to_yaml(with_plugin(ALL, {"search": {"seed": {"choices": [1, 2]}}})))
    shown = run(command, "x.yaml", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert with_plugin().plugins[0].sha256[:12] in shown.output
    assert "augmentation gamma, metric val_f2, model small_net" in shown.output
    plugin_file.write_text("def broken(:\n")
    assert_one_line(command, "x.yaml", "plugins=[code/mine.py]", wants="line 1: invalid syntax")
