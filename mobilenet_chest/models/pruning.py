"""Pruning: whole channels are removed along the network's dependencies, or single weights become 0.

A pruned network needs no description besides its state: the shapes of its tensors say how many channels each layer has,
and weights that are 0 say which were removed. So a checkpoint of it is one of a network like any other.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from mobilenet_chest.errors import ConfigError, MissingExtraError
from mobilenet_chest.models.classifier import Classifier

CHANNELS_MULTIPLE = 16
"""Layers keep a multiple of as many channels: AVX-512 takes 16 float32 at once, and AVX2 half of them. With multiples
of 8 a pruned network was 1.61 to 1.75 times as fast with AVX-512 at a ratio of 0.3, and is 1.76 to 1.95 times
(``experiments/results/compression.md``)."""


def prune_channels(model: Classifier, ratio: float, size: int) -> None:
    """Remove a share of the channels of every layer, in place: those with the smallest weights of all that goes.

    The channels of layers that depend on each other (Fang et al., DepGraph, 2023) are removed together. The logit stays
    one. The result depends on the weights alone; no random number is drawn.

    Args:
        model: On the CPU.
        ratio: Share of each layer's channels, between 0 and 1; what is left is rounded down to a multiple of 16.
            Layers of 16 channels or fewer keep them all.
        size: Side in pixels of an image, for a trial pass.

    Raises:
        MissingExtraError: torch-pruning is not installed.
        ConfigError: The network cannot be pruned.
    """
    try:
        import torch_pruning
    except ImportError:
        raise MissingExtraError("compress.method prune", "compress") from None
    unpruned = copy.deepcopy(model)
    image = torch.zeros(1, len(model.mean.flatten()), size, size, dtype=torch.uint8)
    logit = [module for module in model.head.modules() if isinstance(module, nn.Linear)][-1]
    model.eval()
    try:
        with warnings.catch_warnings():
            # it says how it treats parameters that belong to no layer it knows; the comparison below judges the result
            warnings.simplefilter("ignore")
            pruner = torch_pruning.MagnitudePruner(
                model,
                image,
                importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
                pruning_ratio=ratio,
                pruning_ratio_dict=_ratios_that_leave_channels(model, ratio),
                ignored_layers=[logit],
                round_to=CHANNELS_MULTIPLE,
            )
            pruner.step()
        model.to(memory_format=torch.channels_last)
        _check_same_as_loaded(model, unpruned, image)
    except Exception as error:  # a network that it cannot follow fails in many ways, in it or in its own forward pass
        raise ConfigError(
            [
                f"compress.method: prune cannot be done to {model.architecture} "
                f"({(str(error).strip() or type(error).__name__).splitlines()[0]}); give method: unstructured, or "
                "another parent"
            ]
        ) from error


def _ratios_that_leave_channels(model: Classifier, ratio: float) -> dict[nn.Module, float]:
    """Return the smaller ratios of narrow layers, of which fewer than 16 channels would be left.

    torch-pruning rounds what would be left down to none, and then leaves such a layer as it was.
    """
    widths = {
        module: module.weight.shape[0]
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.shape[0] > CHANNELS_MULTIPLE
    }
    # a little more than 16, which no rounding error takes below it
    most = {module: 1 - (CHANNELS_MULTIPLE + 0.01) / width for module, width in widths.items()}
    return {module: share for module, share in most.items() if share < ratio}


def zero_weights(model: Classifier, ratio: float) -> None:
    """Set the smallest weights of each convolution and linear layer to 0, in place; the logit's layer stays whole.

    The share is that of each layer: one limit for all layers would empty some, and no signal would pass them.

    Args:
        model: On the CPU.
        ratio: Share of each layer's weights, between 0 and 1.
    """
    with torch.no_grad():
        for weight in _prunable_weights(model):
            if count := round(ratio * weight.numel()):
                weight.masked_fill_(weight.abs() <= weight.abs().flatten().kthvalue(count).values, 0)


def keep_zeros(model: Classifier) -> None:
    """Let weights that are 0 stay 0 in training: they get no gradient, and no step or decay moves them."""
    for weight in _prunable_weights(model):
        weight.register_hook(lambda gradient, weight=weight: gradient * (weight.detach() != 0))


def zero_share(model: Classifier) -> float:
    """Return the share of weights that are 0, of all convolutions and linear layers but the logit's."""
    weights = _prunable_weights(model)
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def fit_to(model: Classifier, state: Mapping[str, Tensor]) -> None:
    """Give each layer the number of channels that it has in ``state``, in place; its values are undefined afterwards.

    Args:
        model: Of the same architecture, unpruned.
        state: State dict of the network, pruned or not.
    """
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, own in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            stored = state.get(prefix + name)
            if stored is None or stored.shape == own.shape:
                continue
            fresh = torch.empty_like(stored, device=own.device)
            setattr(module, name, nn.Parameter(fresh) if isinstance(own, nn.Parameter) else fresh)
        _set_channels(module)
    model.to(memory_format=torch.channels_last)


def _set_channels(module: nn.Module) -> None:
    """Set what a layer says of its channels to what its tensors have."""
    if isinstance(module, nn.Conv2d):
        depthwise = module.groups == module.in_channels > 1
        module.groups = module.weight.shape[0] * module.groups // module.out_channels if depthwise else module.groups
        module.out_channels = module.weight.shape[0]
        module.in_channels = module.weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.BatchNorm2d):
        module.num_features = len(cast(Tensor, module.running_mean))
    elif isinstance(module, nn.LayerNorm) and module.elementwise_affine:
        module.normalized_shape = tuple(module.weight.shape)


def _check_same_as_loaded(model: Classifier, unpruned: Classifier, image: Tensor) -> None:
    """Check that the network can be built again from its state.

    Raises:
        ValueError: The rebuilt network predicts otherwise.
    """
    state = model.state_dict()
    fit_to(unpruned, state)
    unpruned.load_state_dict(state)
    with torch.inference_mode():
        noise = torch.randint(0, 256, image.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        if not torch.equal(model.eval()(noise), unpruned.eval()(noise)):
            raise ValueError("the pruned network cannot be built again from its weights")


def _prunable_weights(model: Classifier) -> list[nn.Parameter]:
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return [cast(nn.Parameter, layer.weight) for layer in layers[:-1]]
