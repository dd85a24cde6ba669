"""Names of architectures and how each is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.errors import MissingExtraError
from mobilenet_chest.models import weights as pretrained
from mobilenet_chest.models.head import build_head
from mobilenet_chest.models.stem import adapt_to_gray

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

RANDOM_START_MOMENTUM = 0.1
"""BatchNorm momentum for training from random weights. torchvision's MobileNetV3 has 0.01, for runs of 10^5 steps:
after 300 steps 5% of the running statistics would still be their initial values, and validation meaningless."""


@dataclass(frozen=True)
class Backbone:
    """A network up to its pooled features, and what it expects of its input.

    Attributes:
        module: Maps (n, 3, h, w) float32 to (n, features).
        features: Width of the output.
        mean: Mean of each colour channel, of pixels scaled to 0..1.
        std: Standard deviation likewise.
    """

    module: nn.Module
    features: int
    mean: tuple[float, ...] = IMAGENET[0]
    std: tuple[float, ...] = IMAGENET[1]


class Classifier(nn.Module):
    """Backbone and head, with the normalisation of the input inside.

    Args:
        backbone: Maps (n, 3, h, w) float32 to (n, features), or (n, 1, h, w) after
            :func:`~mobilenet_chest.models.stem.adapt_to_gray`.
        head: Maps (n, features) to (n, 1).
        mean: One number for each channel of the images as stored (one for gray).
        std: Likewise.
        repeat: Repeat a gray image three times before the backbone.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: nn.Module, head: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], repeat: bool
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.repeat = repeat
        # not persistent: they belong to the architecture, so checkpoints hold learned values only
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1) * 255, persistent=False)

    def features(self, images: Tensor) -> Tensor:
        """uint8 (n, c, h, w) to float (n, features)."""
        normalised = (images.float() - self.mean) / self.std
        if self.repeat:
            normalised = normalised.expand(-1, 3, -1, -1)
        normalised = normalised.contiguous(memory_format=torch.channels_last)
        return cast(Tensor, self.backbone(normalised))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (n, c, h, w) to logits (n,)."""
        return cast(Tensor, self.head(self.features(images))).squeeze(1)

    def freeze_backbone(self, frozen: bool) -> None:
        """Stage 1 (frozen): only the head learns, the backbone runs in evaluation mode whatever :meth:`train` says."""
        self.backbone.requires_grad_(not frozen)

    @property
    def backbone_is_frozen(self) -> bool:
        """Whether no parameter of the backbone learns."""
        return not any(parameter.requires_grad for parameter in self.backbone.parameters())

    def train(self, mode: bool = True) -> Classifier:
        """As in torch, but BatchNorm statistics and dropout of a frozen backbone stay fixed."""
        super().train(mode)
        if mode and self.backbone_is_frozen:
            self.backbone.eval()
        return self


def build_model(config: ModelConfig, channels: int) -> Classifier:
    """The network of an experiment, with its weights; the head is initialised from torch's global generator.

    Args:
        config: The ``model`` section.
        channels: Channels of the stored images; 3 keeps the ordinary stem.

    Raises:
        WeightsError: Weights that are not to be had; never replaced by random ones.
        MissingExtraError: The model comes from a package that is not installed.
    """
    imagenet = config.weights == "imagenet"
    if config.name.startswith("timm:"):
        backbone = _timm(config.name.removeprefix("timm:"), imagenet)
    else:
        backbone = BUILDERS[config.name](imagenet)
    if config.weights == "none":
        for module in backbone.module.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = RANDOM_START_MOMENTUM
    mean, std = backbone.mean, backbone.std
    gray = channels == 1
    if gray:
        adapt_to_gray(backbone.module, config.stem)
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    head = build_head(backbone.features, config.hidden, config.dropout)
    model = Classifier(backbone.module, head, mean, std, repeat=gray and config.stem == "repeat")
    if config.weights not in ("imagenet", "none"):
        path = Path(config.weights).expanduser()
        pretrained.load_into(model, pretrained.load_state_dict(path), str(path))
    return model.to(memory_format=torch.channels_last)


def parameter_counts(model: Classifier) -> tuple[int, int]:
    """Parameters in all, and those that stage 1 trains."""
    total = sum(parameter.numel() for parameter in model.parameters())
    return total, sum(parameter.numel() for parameter in model.head.parameters())


def _mobilenet_v3_large(imagenet: bool) -> Backbone:
    from torchvision.models import MobileNet_V3_Large_Weights, mobilenet_v3_large

    network = mobilenet_v3_large()
    if imagenet:
        network.load_state_dict(pretrained.torchvision_weights(MobileNet_V3_Large_Weights.IMAGENET1K_V2.url))
    return Backbone(nn.Sequential(network.features, network.avgpool, nn.Flatten(1)), features=960)


def _densenet121(imagenet: bool) -> Backbone:
    from torchvision.models import DenseNet121_Weights, densenet121

    network = densenet121()
    if imagenet:
        state = pretrained.torchvision_weights(DenseNet121_Weights.IMAGENET1K_V1.url)
        # the published file still writes norm.1 and conv.2 where modules have been called norm1 and conv2 since
        renamed = {name.replace(".norm.", ".norm").replace(".conv.", ".conv"): v for name, v in state.items()}
        network.load_state_dict(renamed)
    pooled = nn.Sequential(network.features, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    return Backbone(pooled, features=1024)


def _efficientnet_lite0(imagenet: bool) -> Backbone:
    backbone = _timm("tf_efficientnet_lite0", imagenet=False)
    if imagenet:
        # timm's state dict of the whole network, classifier included, is what the package's entries are in order of
        names = [*backbone.module.state_dict(), "classifier.weight", "classifier.bias"]
        state = pretrained.efficientnet_lite0_weights(names)
        backbone.module.load_state_dict({name: state[name] for name in names[:-2]})
    return backbone


def _timm(name: str, imagenet: bool) -> Backbone:
    try:
        import timm
        from timm.data.config import resolve_data_config
    except ImportError:
        raise MissingExtraError(f"model {name}", "timm") from None
    module = pretrained.timm_backbone(name, imagenet, timm.create_model)
    data = resolve_data_config({}, model=module)
    return Backbone(module, int(module.num_features), tuple(data["mean"]), tuple(data["std"]))  # type: ignore[arg-type]


BUILDERS: dict[str, Callable[[bool], Backbone]] = {
    "mobilenet_v3_large": _mobilenet_v3_large,
    "densenet121": _densenet121,
    "efficientnet_lite0": _efficientnet_lite0,
}
