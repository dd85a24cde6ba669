"""The field ``plugins``: whose paths, which digests, which names; and that a stored experiment runs nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.plugin_files import ALL, HEAD, PLUGIN, Make

from mobilenet_chest import plugins
from mobilenet_chest.config import Config, load, load_stored, to_yaml, with_values
from mobilenet_chest.errors import ConfigError

FIELDS = "name: x\nplugins: [code/mine.py]\nmodel: {name: small_net, weights: none}\n"


def problems(fields: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as error:
        load({"name": "x"} | fields)
    return error.value.problems


def test_paths_are_relative_to_the_file_and_overrides_to_the_working_folder(
    plugin_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(FIELDS)
    assert [plugin.path for plugin in load(file).plugins] == [plugin_file]
    monkeypatch.chdir(plugin_file.parent)
    assert load(file).plugins == load(file, ["plugins=[mine.py]"]).plugins
    assert load(file, ["plugins=mine.py"]).plugins == load({"name": "x"}, plugins=[Path("mine.py")]).plugins


def test_the_contents_are_part_of_the_digest_and_the_place_is_not(with_plugin: Make, plugin_file: Path) -> None:
    plain = with_plugin({"plugins": []})
    config = with_plugin()
    assert config.digest() != plain.digest()
    assert plain.digest() == Config.model_validate(plain.resolved()).digest()
    moved = plugin_file.rename(plugin_file.with_name("moved.py"))
    assert with_plugin({"plugins": [str(moved)]}).digest() == config.digest()
    moved.write_text(PLUGIN + "\n# another\n")
    assert with_plugin({"plugins": [str(moved)]}).digest() != config.digest()


def test_a_resolved_experiment_is_read_again_with_the_same_file_only(
    with_plugin: Make, plugin_file: Path, tmp_path: Path
) -> None:
    config = with_plugin(ALL)
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(to_yaml(config))
    assert load(resolved) == config
    plugin_file.write_text(PLUGIN + "\n# another\n")
    with pytest.raises(ConfigError, match="has changed"):
        load(resolved)
    assert with_values(config, {"seed": 3}).plugins == config.plugins


def test_a_stored_experiment_runs_nothing(
    with_plugin: Make, plugin_file: Path, tmp_path: Path, forgotten: Callable[[], None]
) -> None:
    marker = tmp_path / "run"
    plugin_file.write_text(f"from pathlib import Path\nPath({str(marker)!r}).touch()\n{PLUGIN}")
    config = with_plugin(ALL, {"search": {"augment.custom.gamma": {"choices": [0.1, 0.2]}}})
    assert marker.exists()
    stored = tmp_path / "config.yaml"
    stored.write_text(to_yaml(config))
    forgotten()
    marker.unlink()
    assert load_stored(stored).digest() == config.digest()
    stored.write_text(to_yaml(config).replace(f"path: {plugin_file}", "path: /tmp/none.py"))
    assert load_stored(stored).digest() == config.digest()
    assert not marker.exists()


def test_names_that_no_plugin_registers(plugin_file: Path) -> None:
    named = {"plugins": [str(plugin_file)]}
    (line,) = problems(named | {"model": {"name": "smal_net"}})
    assert "model.name: unknown model 'smal_net'; did you mean 'small_net'?" in line
    (line,) = problems(named | {"augment": {"custom": {"gama": 1}}})
    assert "augment.custom: no plugin registers the augmentation 'gama'; did you mean 'gamma'?" in line
    (line,) = problems({"augment": {"custom": {"gamma": 1}}})
    assert "name the file that registers it under plugins" in line
    for section in ("evaluation", "study"):
        (line,) = problems(named | {section: {"metric": "val_f1"}})
        assert f"{section}.metric: unknown metric 'val_f1'; did you mean 'val_f2'?" in line
    (line,) = problems(named | {"augment": {"custom": {"gamma": -1}}})
    assert "augment.custom.gamma" in line


@pytest.mark.parametrize(
    ("kind", "name"), [("model", "resnet50"), ("metric", "val_auc"), ("metric", "val_brier_calibrated")]
)
def test_names_of_the_package_are_taken(plugin_file: Path, kind: str, name: str) -> None:
    words = ", ".join(plugins.PARAMETERS[kind])  # type: ignore[index]
    plugin_file.write_text(f"{HEAD}\n@register_{kind}('{name}')\ndef x({words}): ...\n")
    (line,) = problems({"plugins": [str(plugin_file)]})
    assert f"{kind} '{name}' exists already" in line


@pytest.mark.parametrize("value", [3, [None], [{"file": "x.py"}], "none.py", ["none.py", "other.py"]])
def test_what_is_no_list_of_files(value: Any, forgotten: Callable[[], None]) -> None:
    lines = problems({"plugins": value})
    assert len(lines) == (2 if value == ["none.py", "other.py"] else 1)
    assert all(line.startswith("plugins: ") for line in lines)


def test_a_plugin_s_strength_can_be_searched(with_plugin: Make) -> None:
    config = with_plugin({"search": {"augment.custom.gamma": {"low": 0.1, "high": 0.5}}})
    assert with_values(config, {"augment.custom.gamma": 0.2}).augment.custom == {"gamma": 0.2}
    with pytest.raises(ConfigError, match="no such field to search"):
        with_plugin({"search": {"augment.custom.gama": {"low": 0.1, "high": 0.5}}})


def test_a_study_may_have_a_plugin_s_metric_and_prune_by_it(with_plugin: Make) -> None:
    config = with_plugin({"study": {"metric": "val_f2", "pruner": "median"}})
    assert config.study.metric == "val_f2"
    with pytest.raises(ConfigError, match="direction minimize"):
        with_plugin({"study": {"metric": "val_f2", "direction": "minimize"}})


def test_a_plugin_s_model_pools_by_itself(with_plugin: Make) -> None:
    with pytest.raises(ConfigError, match="pools by itself"):
        with_plugin(ALL, {"model.pooling": "gem"})
