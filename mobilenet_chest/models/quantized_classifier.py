"""A classifier in 8-bit integers: it learns as a network in torch, and answers by the network's ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from mobilenet_chest.models.classifier import Backbone, Classifier
from mobilenet_chest.models.onnx_file import BATCH, INPUT
from mobilenet_chest.models.onnx_session import open_session
from mobilenet_chest.models.quantized_network import QuantizedNetwork


class QuantizedClassifier(Classifier):
    """A classifier whose network is a :class:`QuantizedNetwork`; in evaluation mode it answers by ONNX Runtime.

    Args:
        like: The classifier that was quantised: how images are normalised, and the architecture's name.
        network: The network.
    """

    def __init__(self, like: Classifier, network: QuantizedNetwork) -> None:
        nothing = (0.0,) * len(like.mean.flatten())
        super().__init__(Backbone(network, 1), nn.Identity(), nothing, nothing, like.repeat, like.architecture)
        self.mean, self.std = like.mean.clone(), like.std.clone()
        self._session: Any = None
        self.register_load_state_dict_post_hook(lambda module, _: module.__dict__.update(_session=None))

    @property
    def network(self) -> QuantizedNetwork:
        """The network, which is the whole backbone; the head is in it."""
        return cast(QuantizedNetwork, self.backbone)

    @classmethod
    def of_state(cls, like: Classifier, state: Mapping[str, Any]) -> QuantizedClassifier:
        """Return the classifier of a state dict, in evaluation mode."""
        contents = state["backbone._extra_state"].numpy().tobytes()
        model = cls(like, QuantizedNetwork(contents))
        model.load_state_dict(state)
        model.eval()
        return model

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; what is learned afterwards is not in the present file."""
        if mode:
            self._session = None
        super().train(mode)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n,) of images (n, c, s, s): uint8 in evaluation mode, which are given to the file."""
        if self.training:
            return super().forward(images)
        if self._session is None:
            self._session = open_session(self.network.file().SerializeToString())
        parts = images.contiguous().cpu().split(BATCH)
        logits = [self._session.run(["logit_plain"], {INPUT: part.numpy()})[0] for part in parts]
        return torch.from_numpy(np.concatenate(logits)).to(images.device)

    def __getstate__(self) -> dict[str, Any]:
        # a session cannot be copied; a copy opens its own
        return {**self.__dict__, "_session": None}
