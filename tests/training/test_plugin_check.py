"""Plugins are tried before a training, on a few rows, and leave no trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.plugin_files import ALL, HEAD, Make

from mobilenet_chest import plugins
from mobilenet_chest.config import load_stored, to_yaml
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.training.stages import prepare


@pytest.mark.parametrize(
    ("kind", "line", "part"),
    [
        ("augmentation", "return images[:1]", "returned shape (1, 1, 32, 32); return a tensor of the images' shape"),
        ("augmentation", "return None", "returned NoneType"),
        ("augmentation", "return images / 0", "NaN or infinity"),
        ("augmentation", "raise ValueError('a\\nb')", "raised ValueError: a b (line 4)"),
        ("metric", "return labels", "returned array"),
        ("metric", "return 1 / 0", "raised ZeroDivisionError: division by zero (line 4)"),
    ],
)
def test_what_fails_at_once_is_found_before_a_training(
    with_plugin: Make, plugin_file: Path, kind: str, line: str, part: str
) -> None:
    name = "val_x" if kind == "metric" else "gamma"
    words = ", ".join(plugins.PARAMETERS[kind])  # type: ignore[index]
    plugin_file.write_text(f"{HEAD}\n@register_{kind}({name!r})\ndef x({words}): {line}\n")
    changes: dict[str, Any] = {} if kind == "metric" else {"augment": {"custom": {"gamma": 0.5}}}
    with pytest.raises(ConfigError) as error:
        prepare(with_plugin(changes))
    (message,) = error.value.problems
    assert part in message
    assert "\n" not in message
    assert len(message) < 400
    assert error.value.exit_code == 2


def test_strengths_and_models_of_a_search_are_tried(with_plugin: Make, plugin_file: Path) -> None:
    source = plugin_file.read_text()
    plugin_file.write_text(source.replace("return 255 *", "return None\n    return 255 *"))
    search = {"augment.custom.gamma": {"low": 0.1, "high": 0.5}}
    prepare(with_plugin())  # off
    with pytest.raises(ConfigError, match="returned NoneType"):
        prepare(with_plugin({"search": search}))
    plugin_file.write_text(source.replace("layers = [", "layers = [1, "))
    models = {"search": {"model.name": {"choices": ["small_net", "mobilenet_v3_small"]}}}
    with pytest.raises(ConfigError, match="'small_net' raised TypeError"):
        prepare(with_plugin(models))


def test_the_random_state_is_left_as_it_is(with_plugin: Make) -> None:
    def state(changes: dict[str, Any]) -> torch.Tensor:
        prepare(with_plugin(changes))
        return torch.get_rng_state()

    assert torch.equal(state({}), state({"augment": {"custom": {"gamma": 0.5}}}))


def test_a_stored_experiment_is_not_trained_without_its_plugin(
    with_plugin: Make, tmp_path: Path, forgotten: Callable[[], None]
) -> None:
    stored = tmp_path / "config.yaml"
    stored.write_text(to_yaml(with_plugin(ALL)))
    forgotten()
    with pytest.raises(ConfigError, match="needs the plugin mine.py"):
        prepare(load_stored(stored))
