"""Backbones that plugins register."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mobilenet_chest import plugins
from mobilenet_chest.errors import ConfigError, PluginFailed
from mobilenet_chest.models.classifier import Backbone

PROBE = (2, 3, 64, 64)
"""Shape of the images that a network is tried with."""


def custom_backbone(name: str, imagenet: bool) -> Backbone:
    """Return the backbone that a plugin registers under a name.

    Args:
        name: Of the model.
        imagenet: Whether it shall have pretrained weights.

    Raises:
        ConfigError: The plugin was not named on this machine, its function raises, or what it returns is no network
            from images to features.
    """
    try:
        made = plugins.call("model", name, imagenet)
    except PluginFailed as error:
        raise ConfigError([str(error)]) from error
    owner = plugins.owner("model", name)
    where = f"plugin {owner.path if owner else ''}: model '{name}'"
    module = made.module if isinstance(made, Backbone) else made
    if not isinstance(module, nn.Module):
        raise ConfigError([f"{where} returned {type(made).__name__}; return a torch.nn.Module, or a Backbone"])
    features = _width(module, where)
    if not isinstance(made, Backbone):
        return Backbone(module, features)
    if made.features != features:
        raise ConfigError([f"{where} says {made.features} features and gives {features}; correct Backbone.features"])
    for part in [part for block in (*made.blocks, made.pool) for part in block]:
        try:
            module.get_submodule(part)
        except AttributeError:
            raise ConfigError([f"{where} names the block '{part}', which its network has not"]) from None
    return made


def _width(module: nn.Module, where: str) -> int:
    """Return the number of features that a network gives for an image; random states stay as they are."""
    training = module.training
    module.eval()
    try:
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            features = module(torch.zeros(PROBE))
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise ConfigError([f"{where} cannot take images {PROBE}: {type(error).__name__}: {text}"]) from error
    finally:
        module.train(training)
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != PROBE[0]:
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ConfigError([f"{where} returned {shape} for images {PROBE}; return features (n, f)"])
    return features.shape[1]
