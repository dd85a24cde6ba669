"""The architectures: a builder for each name, in :data:`BUILDERS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.errors import ConfigError, MissingExtraError, WeightsError
from mobilenet_chest.models import foreign
from mobilenet_chest.models import weights as pretrained
from mobilenet_chest.models.classifier import Backbone, Classifier
from mobilenet_chest.models.custom import custom_backbone
from mobilenet_chest.models.head import build_head, build_neck
from mobilenet_chest.models.small_maps import use_fast_convolutions
from mobilenet_chest.models.stem import adapt_to_gray

RANDOM_START_MOMENTUM = 0.1
"""BatchNorm momentum for training from random weights. torchvision's MobileNetV3 has 0.01, for runs of 10^5 steps.
After 300 steps 5% of the running statistics would still be their initial values, and validation meaningless."""

IN_FEATURES = ("features.", "0.")
"""Names of torchvision's networks whose ``features`` are the first layer of a sequence here."""


def build_model(config: ModelConfig, channels: int) -> Classifier:
    """Return the network of an experiment with its weights; torch's global generator initialises the head.

    Args:
        config: The ``model`` section.
        channels: Channels of the stored images; 3 keeps the ordinary stem.

    Raises:
        ConfigError: The architecture has no residual branches for ``drop_path``; or it is a plugin's, and fails.
        WeightsError: The weights are missing or do not fit; they are never replaced by random ones.
        MissingExtraError: The model's package is not installed.
    """
    imagenet = config.weights == "imagenet"
    if config.name.startswith("timm:"):
        backbone = _timm(config.name.removeprefix("timm:"), imagenet, config.drop_path)
    elif config.name in BUILDERS:
        backbone = BUILDERS[config.name](imagenet, config.drop_path)
    else:
        backbone = custom_backbone(config.name, imagenet)
    if config.weights == "none":
        for module in backbone.module.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = RANDOM_START_MOMENTUM
    mean, std = backbone.mean, backbone.std
    gray = channels == 1
    own_state = _load_file(config, backbone, gray)
    if gray:
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    head: nn.Module = build_head(backbone.features, config.hidden, config.dropout)
    neck = build_neck(backbone.features, config.pooling, config.attention)
    if neck is not None and any(True for _ in neck.parameters()):
        backbone, head = replace(backbone, pool=()), nn.Sequential(neck, head)
    elif neck is not None:
        # nothing in it learns, so it belongs to what is computed once for a frozen backbone
        backbone.module.add_module("neck", neck)
        backbone = replace(backbone, pool=("neck",))
    model = Classifier(backbone, head, mean, std, gray and config.stem == "repeat", config.name)
    if own_state is not None:
        pretrained.load_into(model, own_state, config.weights)
    use_fast_convolutions(model)
    return model.to(memory_format=torch.channels_last)


def _load_file(config: ModelConfig, backbone: Backbone, gray: bool) -> dict[str, Tensor] | None:
    """Load a file of ``model.weights`` into the backbone, and adapt it to gray images.

    Returns:
        The file's state dict, where it is one of this package, for the whole model; else ``None``.
    """
    state = None
    if config.weights not in ("imagenet", "none"):
        state = pretrained.load_state_dict(Path(config.weights).expanduser())
    if state is not None and foreign.is_own(state, backbone.module):
        if gray:
            adapt_to_gray(backbone.module, config.stem)
        return state
    try:
        if state is not None:
            foreign.load_backbone(backbone, state, config.weights)
    except WeightsError as colour:
        if not gray or config.stem == "repeat":
            raise
        adapt_to_gray(backbone.module, config.stem)
        try:
            foreign.load_backbone(backbone, state or {}, config.weights)  # of a network for gray images
        except WeightsError:
            raise colour from None
        return None
    if gray:
        adapt_to_gray(backbone.module, config.stem)
    return None


def parameter_counts(model: Classifier) -> tuple[int, int]:
    """Return the number of all parameters, and of those that stage 1 trains."""
    total = sum(parameter.numel() for parameter in model.parameters())
    return total, sum(parameter.numel() for parameter in model.head.parameters())


def _mobilenet_v3_large(imagenet: bool, drop_path: float | None) -> Backbone:
    from torchvision.models import MobileNet_V3_Large_Weights, mobilenet_v3_large

    return _in_a_row(mobilenet_v3_large(), 960, MobileNet_V3_Large_Weights.IMAGENET1K_V2.url if imagenet else None)


def _mobilenet_v3_small(imagenet: bool, drop_path: float | None) -> Backbone:
    from torchvision.models import MobileNet_V3_Small_Weights, mobilenet_v3_small

    return _in_a_row(mobilenet_v3_small(), 576, MobileNet_V3_Small_Weights.IMAGENET1K_V1.url if imagenet else None)


def _mobilenet_v2(imagenet: bool, drop_path: float | None) -> Backbone:
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

    return _in_a_row(mobilenet_v2(), 1280, MobileNet_V2_Weights.IMAGENET1K_V2.url if imagenet else None)


def _efficientnet_b0(imagenet: bool, drop_path: float | None) -> Backbone:
    from torchvision.models import EfficientNet_B0_Weights, efficientnet_b0

    network = efficientnet_b0() if drop_path is None else efficientnet_b0(stochastic_depth_prob=drop_path)
    return _in_a_row(network, 1280, EfficientNet_B0_Weights.IMAGENET1K_V1.url if imagenet else None)


def _in_a_row(network: nn.Module, features: int, url: str | None) -> Backbone:
    """Return the backbone of a torchvision network whose ``features`` are a plain sequence of blocks."""
    if url is not None:
        network.load_state_dict(pretrained.torchvision_weights(url))
    layers = cast(nn.Sequential, network.features)
    blocks = tuple((f"0.{index}",) for index in range(len(layers)))
    pooled = nn.Sequential(layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    return Backbone(pooled, features, blocks, pool=("1", "2"), published=IN_FEATURES)


def _resnet50(imagenet: bool, drop_path: float | None) -> Backbone:
    from torchvision.models import ResNet50_Weights, resnet50

    network = resnet50()
    if imagenet:
        network.load_state_dict(pretrained.torchvision_weights(ResNet50_Weights.IMAGENET1K_V2.url))
    network.fc = nn.Flatten(1)
    stages = ("layer1", "layer2", "layer3", "layer4")
    units = tuple((f"{stage}.{index}",) for stage in stages for index in range(len(network.get_submodule(stage))))
    blocks = (("conv1", "bn1", "relu", "maxpool"), *units)
    return Backbone(network, features=2048, blocks=blocks, pool=("avgpool", "fc"))


def _densenet121(imagenet: bool, drop_path: float | None) -> Backbone:
    from torchvision.models import DenseNet121_Weights, densenet121

    network = densenet121()
    if imagenet:
        state = pretrained.torchvision_weights(DenseNet121_Weights.IMAGENET1K_V1.url)
        # the published file has norm.1 and conv.2 where the modules are called norm1 and conv2
        renamed = {name.replace(".norm.", ".norm").replace(".conv.", ".conv"): v for name, v in state.items()}
        network.load_state_dict(renamed)
    pooled = nn.Sequential(network.features, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    stem, last = ("0.conv0", "0.norm0", "0.relu0", "0.pool0"), ("0.denseblock4", "0.norm5", "1")
    middle = ("0.denseblock1", "0.transition1", "0.denseblock2", "0.transition2", "0.denseblock3", "0.transition3")
    blocks = (stem, *((name,) for name in middle), last)
    return Backbone(pooled, features=1024, blocks=blocks, pool=("2", "3"), published=IN_FEATURES)


def _efficientnet_lite0(imagenet: bool, drop_path: float | None) -> Backbone:
    backbone = _timm("tf_efficientnet_lite0", imagenet=False, drop_path=drop_path)
    if imagenet:
        # the package's entries have the order of timm's state dict of the whole network, classifier included
        names = [*backbone.module.state_dict(), "classifier.weight", "classifier.bias"]
        state = pretrained.efficientnet_lite0_weights(names)
        backbone.module.load_state_dict({name: state[name] for name in names[:-2]})
    stages = tuple((f"blocks.{index}",) for index in range(7))
    blocks = (("conv_stem", "bn1"), *stages, ("conv_head", "bn2"))
    return replace(backbone, blocks=blocks, pool=("global_pool",))


def _timm(name: str, imagenet: bool, drop_path: float | None) -> Backbone:
    try:
        import timm
        from timm.data.config import resolve_data_config
    except ImportError:
        raise MissingExtraError(f"model {name}", "timm") from None
    create = timm.create_model if drop_path is None else partial(timm.create_model, drop_path_rate=drop_path)
    try:
        module = pretrained.timm_backbone(name, imagenet, create)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        raise ConfigError([f"model.drop_path: timm:{name} has no residual branches to drop; remove it"]) from None
    data = resolve_data_config({}, model=module)
    # not num_features, which is the width of the last maps: some networks widen them after pooling
    features = int(module.head_hidden_size)  # type: ignore[arg-type]
    return Backbone(module, features, mean=tuple(data["mean"]), std=tuple(data["std"]))


BUILDERS: dict[str, Callable[[bool, float | None], Backbone]] = {
    "mobilenet_v3_large": _mobilenet_v3_large,
    "mobilenet_v3_small": _mobilenet_v3_small,
    "mobilenet_v2": _mobilenet_v2,
    "densenet121": _densenet121,
    "resnet50": _resnet50,
    "efficientnet_b0": _efficientnet_b0,
    "efficientnet_lite0": _efficientnet_lite0,
}
