"""The network: a backbone in blocks that can be frozen, and a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


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
        fixed_statistics: Whether BatchNorm's running statistics stay as they are, also in the blocks that learn.
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
        return self.from_block(self.block_count, self.features(images))

    def from_block(self, block: int, inputs: Tensor) -> Tensor:
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
        else:
            self._train_learning_part(mode)
        if mode and self.fixed_statistics:
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def _train_learning_part(self, mode: bool) -> None:
        # only what can change: in stage 1 a walk over the whole backbone takes longer than a step
        self.training = mode
        self.head.train(mode)
        for block in self._blocks[self.frozen :]:
            for name in block:
                self.backbone.get_submodule(name).train(mode)

    def layers(self) -> list[list[nn.Parameter]]:
        """Parameters that learn: of each block, from the input on, and of the head."""
        modules = [[self.backbone.get_submodule(name) for name in block] for block in self._blocks]
        return [
            [parameter for module in layer for parameter in module.parameters() if parameter.requires_grad]
            for layer in [*modules, [self.head]]
        ]

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


class Ensemble(nn.Module):
    """Several networks as one, by the mean of their probabilities."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 or float (n, c, h, w) to the logits (n,), float64, of the mean probability."""
        probabilities = [member(images).double().sigmoid() for member in self.members]
        return torch.stack(probabilities).mean(0).logit()
