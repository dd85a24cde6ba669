"""The network: a backbone in blocks that can be frozen, and a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's colour channels, of pixels scaled to 0..1."""


@dataclass(frozen=True)
class Backbone:
    """A network up to its pooled features, and how its input must be normalised.

    Attributes:
        module: Maps (n, 3, h, w) float32 to (n, features).
        features: Width of the output.
        blocks: Names of submodules, a tuple for each block. The module is all of them in order, then ``pool``.
        pool: Names of the submodules that turn the last block's output into (n, features).
        published: What the names of tensors begin with in the network as it is published, and what with here.
        mean: Mean of each colour channel, of pixels scaled to 0..1.
        std: Standard deviation of each colour channel.
    """

    module: nn.Module
    features: int
    blocks: tuple[tuple[str, ...], ...] = (("",),)
    pool: tuple[str, ...] = ()
    published: tuple[str, str] = ("", "")
    mean: tuple[float, ...] = IMAGENET[0]
    std: tuple[float, ...] = IMAGENET[1]


class Classifier(nn.Module):
    """Normalisation of the input, backbone and head.

    Args:
        backbone: Its module may take (n, 1, h, w), after :func:`~mobilenet_chest.models.stem.adapt_to_gray`.
        head: Maps (n, features) to (n, 1).
        mean: Mean of each channel of the stored images (one for gray), of pixels scaled to 0..1.
        std: Standard deviation of each channel.
        repeat: Repeat a gray image three times before the backbone.
        architecture: Name of the backbone.

    Attributes:
        frozen: Number of leading blocks of the backbone that do not learn.
        fixed_statistics: Whether BatchNorm's running statistics are frozen also in the blocks that learn.
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
        self.fixed_statistics = False
        self._blocks, self._pool = backbone.blocks, backbone.pool
        self.repeat = repeat
        # not persistent: they belong to the architecture, and checkpoints hold learned values only
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1) * 255, persistent=False)

    @property
    def block_count(self) -> int:
        """Number of blocks of the backbone, the stem included; 1 for a backbone that is no plain sequence of blocks."""
        return len(self._blocks)

    def features(self, images: Tensor) -> Tensor:
        """Return the pooled features, float (n, features), of images uint8 (n, c, h, w)."""
        return self.up_to(self.block_count, images)

    def up_to(self, block: int, images: Tensor) -> Tensor:
        """Return the input of block number ``block`` for images, uint8 or float (n, c, h, w).

        That is the images themselves for 0, the pooled (n, features) for :attr:`block_count`, and the output of the
        block before, (n, c', h', w'), in between.
        """
        if block == 0:
            return images
        normalised = (images.float() - self.mean) / self.std
        if self.repeat:
            normalised = normalised.expand(-1, 3, -1, -1)
        normalised = normalised.contiguous(memory_format=torch.channels_last)
        return self._run(0, block, normalised)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n,) of images, uint8 or float (n, c, h, w)."""
        return self.from_block(self.block_count, self.features(images))

    def from_block(self, block: int, inputs: Tensor) -> Tensor:
        """Return logits (n,) from what :meth:`up_to` returns for the same block."""
        features = self.features(inputs) if block == 0 else self._run(block, self.block_count, inputs)
        return cast(Tensor, self.head(features)).squeeze(1)

    def freeze(self, blocks: int) -> None:
        """Freeze the first ``blocks`` blocks of the backbone, and let the others learn.

        Frozen blocks stay in evaluation mode, whatever :meth:`train` says. Otherwise BatchNorm's statistics would
        still move, and stored outputs of the frozen blocks would no longer be theirs.
        """
        self.frozen = blocks
        self.backbone.eval()
        for index, names in enumerate(self._blocks):
            for name in names:
                self.backbone.get_submodule(name).requires_grad_(index >= blocks)

    def train(self, mode: bool = True) -> Classifier:
        """Set training or evaluation mode, as in torch, for all but the frozen blocks."""
        if not self.frozen:
            super().train(mode)
        else:
            self._train_learning_part(mode)
        if mode and self.fixed_statistics:
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def _train_learning_part(self, mode: bool) -> None:
        # not the whole backbone: in stage 1 walking over it takes longer than a training step
        self.training = mode
        self.head.train(mode)
        for block in self._blocks[self.frozen :]:
            for name in block:
                self.backbone.get_submodule(name).train(mode)

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the parameters that learn: of each block, from the input on, and last of the head."""
        modules = [[self.backbone.get_submodule(name) for name in block] for block in self._blocks]
        return [
            [parameter for module in layer for parameter in module.parameters() if parameter.requires_grad]
            for layer in [*modules, [self.head]]
        ]

    def frozen_state(self) -> dict[str, Tensor]:
        """Return weights and statistics of the frozen blocks, by their names in the backbone."""
        return {
            f"{name}.{entry}": value
            for name in self._frozen_names()
            for entry, value in self.backbone.get_submodule(name).state_dict().items()
        }

    def _frozen_names(self) -> list[str]:
        return [name for block in self._blocks[: self.frozen] for name in block]

    def _run(self, first: int, end: int, x: Tensor) -> Tensor:
        """Run blocks ``first`` to ``end`` - 1, and the pooling after the last block of the backbone."""
        names = [name for block in self._blocks[first:end] for name in block]
        if end == self.block_count and first < end:
            names += self._pool
        for name in names:
            x = self.backbone.get_submodule(name)(x)
        return x


class Ensemble(nn.Module):
    """Several networks as one that predicts the mean of their probabilities."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logit, float64 (n,), of the mean probability for images, uint8 or float (n, c, h, w)."""
        probabilities = [member(images).double().sigmoid() for member in self.members]
        return torch.stack(probabilities).mean(0).logit()
