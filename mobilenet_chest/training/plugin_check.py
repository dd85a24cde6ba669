"""Plugins tried on a few rows before a training: what fails at once must not cost an epoch."""

from __future__ import annotations

import numpy as np
import torch

from mobilenet_chest import plugins
from mobilenet_chest.config import Config
from mobilenet_chest.config.paths import CUSTOM
from mobilenet_chest.data.augment import apply_custom
from mobilenet_chest.data.dataset import TrainVal
from mobilenet_chest.errors import ConfigError, PluginFailed
from mobilenet_chest.evaluation.custom_metrics import custom_metric
from mobilenet_chest.models.custom import custom_backbone

FEW = 4
"""Images that an augmentation is tried on."""


def check_plugins(config: Config, data: TrainVal) -> None:
    """Call each augmentation that is or may be on and each metric, and build models that a search names.

    Random states stay as they are.

    Raises:
        ConfigError: A plugin was not named on this machine, raises, or returns what cannot be used.
    """
    plugins.require()
    images = data.train.images[:FEW].float()
    labels = data.val.labels.numpy()
    probabilities = np.random.default_rng(0).random(len(labels))
    try:
        with torch.random.fork_rng(devices=[]):
            for name, strength in _strengths(config).items():
                if not apply_custom(images, [(name, strength)]).isfinite().all():
                    raise PluginFailed(f"augmentation '{name}' of a plugin returned NaN or infinity; correct it")
        for name in plugins.names("metric"):
            custom_metric(name, labels, probabilities)
        searched = config.search.get("model.name")
        for choice in (searched.choices or ()) if searched else ():
            if choice in plugins.names("model"):
                custom_backbone(str(choice), config.model.weights == "imagenet")
    except PluginFailed as error:
        raise ConfigError([str(error)]) from error


def _strengths(config: Config) -> dict[str, float]:
    """Return the augmentations of plugins that are on, or that a trial may have on, each with a strength."""
    strengths = dict(config.augment.custom_on)
    for path, distribution in config.search.items():
        if path.startswith(CUSTOM):
            tried = distribution.choices or (distribution.high,)
            numbers = [float(value) for value in tried if isinstance(value, int | float)]
            strengths[path.removeprefix(CUSTOM)] = max(numbers, default=0.0)
    return {name: strength for name, strength in strengths.items() if strength}
