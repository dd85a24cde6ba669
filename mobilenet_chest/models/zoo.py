"""Names of architectures and how each is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
        blocks: Names of submodules, grouped: the module is these one after the other, then ``pool``.
        pool: Names of what turns the last block's output into (n, features).
        mean: Mean of each colour channel, of pixels scaled to 0..1.
        std: Standard deviation likewise.
    """

    module: nn.Module
    features: int
    blocks: tuple[tuple[str, ...], ...] = (("",),)
    pool: tuple[str, ...] = ()
    mean: tuple[float, ...] = IMAGENET[0]
    std: tuple[float, ...] = IMAGENET[1]


class Classifier(nn.Module):
    """Backbone and head, with the normalisation of the input inside.

    Args:
        backbone: Its module may take (n, 1, h, w), after :func:`~mobilenet_chest.models.stem.adapt_to_gray`.
        head: Maps (n, features) to (n, 1).
        mean: One number for each channel of the images as stored (one for gray).
        std: Likewise.
        repeat: Repeat a gray image three times before the backbone.
        architecture: Name of the backbone.

    Attributes:
        frozen: How many leading blocks of the backbone do not learn.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        repeat: bool,
        architecture: str,
    ) -> None:
        super().__init__()
        self.backbone = backbone.module
        self.head = head
        self.architecture = architecture
        self.frozen = 0
        self._blocks, self._pool = backbone.blocks, backbone.pool
        self.repeat = repeat
        # not persistent: they belong to the architecture, so checkpoints hold learned values only
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1) * 255, persistent=False)

    @property
    def block_count(self) -> int:
        """Blocks of the backbone, counted from the stem; 1 where a backbone is not a plain sequence of them."""
        return len(self._blocks)

    def features(self, images: Tensor) -> Tensor:
        """uint8 (n, c, h, w) to float (n, features)."""
        return self.up_to(self.block_count, images)

    def up_to(self, block: int, images: Tensor) -> Tensor:
        """What block number ``block`` takes for uint8 or float (n, c, h, w): the images themselves for 0, the pooled
        (n, features) for :attr:`block_count`, and the output of the block before, (n, c', h', w'), in between."""
        if block == 0:
            return images
        normalised = (images.float() - self.mean) / self.std
        if self.repeat:
            normalised = normalised.expand(-1, 3, -1, -1)
        normalised = normalised.contiguous(memory_format=torch.channels_last)
        return self._run(0, block, normalised)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 or float (n, c, h, w) to logits (n,)."""
        return self.onwards(self.block_count, self.features(images))

    def onwards(self, block: int, inputs: Tensor) -> Tensor:
        """From what :meth:`up_to` gives for the same block to logits (n,)."""
        features = self.features(inputs) if block == 0 else self._run(block, self.block_count, inputs)
        return cast(Tensor, self.head(features)).squeeze(1)

    def freeze(self, blocks: int) -> None:
        """Let the first ``blocks`` blocks of the backbone not learn: they run in evaluation mode, whatever
        :meth:`train` says, so that BatchNorm's statistics stay fixed too."""
        self.frozen = blocks
        self.backbone.eval()
        for index, names in enumerate(self._blocks):
            for name in names:
                self.backbone.get_submodule(name).requires_grad_(index >= blocks)

    def train(self, mode: bool = True) -> Classifier:
        """As in torch, but for the frozen blocks."""
        if not self.frozen:
            super().train(mode)
            return self
        # only what can change: in stage 1 a walk over the whole backbone takes longer than a step
        self.training = mode
        self.head.train(mode)
        for block in self._blocks[self.frozen :]:
            for name in block:
                self.backbone.get_submodule(name).train(mode)
        return self

    def frozen_state(self) -> dict[str, Tensor]:
        """Weights and statistics of the frozen blocks, by their names in the backbone."""
        return {
            f"{name}.{entry}": value
            for name in self._frozen_names()
            for entry, value in self.backbone.get_submodule(name).state_dict().items()
        }

    def _frozen_names(self) -> list[str]:
        return [name for block in self._blocks[: self.frozen] for name in block]

    def _run(self, first: int, end: int, x: Tensor) -> Tensor:
        """Blocks ``first`` to ``end`` - 1, and the pooling behind the last."""
        names = [name for block in self._blocks[first:end] for name in block]
        if end == self.block_count and first < end:
            names += self._pool
        for name in names:
            x = self.backbone.get_submodule(name)(x)
        return x


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
    model = Classifier(backbone, head, mean, std, gray and config.stem == "repeat", config.name)
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
    blocks = tuple((f"0.{index}",) for index in range(len(network.features)))
    module = nn.Sequential(network.features, network.avgpool, nn.Flatten(1))
    return Backbone(module, features=960, blocks=blocks, pool=("1", "2"))


def _densenet121(imagenet: bool) -> Backbone:
    from torchvision.models import DenseNet121_Weights, densenet121

    network = densenet121()
    if imagenet:
        state = pretrained.torchvision_weights(DenseNet121_Weights.IMAGENET1K_V1.url)
        # the published file still writes norm.1 and conv.2 where modules have been called norm1 and conv2 since
        renamed = {name.replace(".norm.", ".norm").replace(".conv.", ".conv"): v for name, v in state.items()}
        network.load_state_dict(renamed)
    pooled = nn.Sequential(network.features, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    stem, last = ("0.conv0", "0.norm0", "0.relu0", "0.pool0"), ("0.denseblock4", "0.norm5", "1")
    middle = ("0.denseblock1", "0.transition1", "0.denseblock2", "0.transition2", "0.denseblock3", "0.transition3")
    blocks = (stem, *((name,) for name in middle), last)
    return Backbone(pooled, features=1024, blocks=blocks, pool=("2", "3"))


def _efficientnet_lite0(imagenet: bool) -> Backbone:
    backbone = _timm("tf_efficientnet_lite0", imagenet=False)
    if imagenet:
        # timm's state dict of the whole network, classifier included, is what the package's entries are in order of
        names = [*backbone.module.state_dict(), "classifier.weight", "classifier.bias"]
        state = pretrained.efficientnet_lite0_weights(names)
        backbone.module.load_state_dict({name: state[name] for name in names[:-2]})
    stages = tuple((f"blocks.{index}",) for index in range(7))
    blocks = (("conv_stem", "bn1"), *stages, ("conv_head", "bn2"))
    return replace(backbone, blocks=blocks, pool=("global_pool",))


def _timm(name: str, imagenet: bool) -> Backbone:
    try:
        import timm
        from timm.data.config import resolve_data_config
    except ImportError:
        raise MissingExtraError(f"model {name}", "timm") from None
    module = pretrained.timm_backbone(name, imagenet, timm.create_model)
    data = resolve_data_config({}, model=module)
    features = int(module.num_features)  # type: ignore[arg-type]
    return Backbone(module, features, mean=tuple(data["mean"]), std=tuple(data["std"]))


BUILDERS: dict[str, Callable[[bool], Backbone]] = {
    "mobilenet_v3_large": _mobilenet_v3_large,
    "densenet121": _densenet121,
    "efficientnet_lite0": _efficientnet_lite0,
}
