"""Weights as other programs save them: under other names, and with a classifier of their own."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from mobilenet_chest.errors import WeightsError
from mobilenet_chest.models.classifier import Backbone

logger = logging.getLogger(__name__)

CLASSIFIERS = {"classifier", "fc", "head", "heads", "head_dist", "last_linear", "output"}
"""Modules of other networks that make classes of features: their weights are left out."""

_COUNTER = "num_batches_tracked"
"""Counter of BatchNorm that files from before 2018 lack, and that training does not use."""


class _Match(NamedTuple):
    """How a state dict fits a backbone, with its names after one prefix.

    Attributes:
        prefix: The prefix.
        found: Name in the backbone -> tensor of the same shape.
        left_out: Names in the file that are not used.
        problem: The first thing that does not fit; ``None`` if all does.
    """

    prefix: str
    found: dict[str, Tensor]
    left_out: list[str]
    problem: str | None


def is_own(state: Mapping[str, Tensor], backbone: nn.Module) -> bool:
    """Return whether a state dict has the names of a network of this package, head included."""
    names = {name.removeprefix("backbone.") for name in state if name.startswith("backbone.")}
    return any(name.startswith("head.") for name in state) and names == set(backbone.state_dict())


def load_backbone(backbone: Backbone, state: Mapping[str, Tensor], source: str) -> None:
    """Copy the backbone's weights from another program's state dict; a classifier in it is left out.

    All names may have a prefix, such as ``module.`` (DataParallel), ``model.`` or ``module.densenet121.``.

    Args:
        backbone: Whose module takes the weights.
        state: Of a network that contains the same architecture.
        source: Where it is from, for messages.

    Raises:
        WeightsError: Weights are missing, of another shape or of a larger network, or two parts of the file fit; the
            message says which.
    """
    expected = backbone.module.state_dict()
    matches = [
        _match(expected, names, prefix, backbone.published)
        for names in ({name: state[name] for name in state}, {_densenet_name(name): state[name] for name in state})
        for prefix in _prefixes(expected, names, backbone.published)
    ]
    fitting = {match.prefix: match for match in matches if match.problem is None}
    if not fitting:
        best = max(matches, key=lambda match: len(match.found))
        raise WeightsError(
            f"{source}: does not fit the model: {best.problem} ({len(best.found)} of the backbone's {len(expected)} "
            "tensors fit); use a file of the same model.name, as torchvision, timm or this package saves it"
        )
    if len(fitting) > 1:
        shown = " and ".join(f"'{prefix}'" for prefix in fitting)
        raise WeightsError(f"{source}: what stands under {shown} fits the model; save one of them alone")
    (match,) = fitting.values()
    backbone.module.load_state_dict(expected | match.found)
    left_out = ", ".join(match.left_out[:4]) + (" …" if len(match.left_out) > 4 else "")
    logger.info(f"{source}: {len(match.found)} tensors for the backbone; left out: {left_out or 'none'}")


def _prefixes(expected: Mapping[str, Tensor], names: Mapping[str, Tensor], published: tuple[str, str]) -> list[str]:
    """Return what stands before the first name of the backbone that the file has; an empty text if it has none."""
    for own in expected:
        probe = _published_name(own, published)
        prefixes = [name.removesuffix(probe) for name in names if f".{name}".endswith(f".{probe}")]
        if prefixes:
            return sorted(prefixes)
    return [""]


def _match(
    expected: Mapping[str, Tensor], names: Mapping[str, Tensor], prefix: str, published: tuple[str, str]
) -> _Match:  # fmt: skip
    wanted = {own: f"{prefix}{_published_name(own, published)}" for own in expected}
    present = {own: names[name] for own, name in wanted.items() if name in names}
    shapes = [own for own, value in present.items() if value.shape != expected[own].shape]
    missing = [name for own, name in wanted.items() if own not in present and not own.endswith(_COUNTER)]
    left_out = [name for name in names if name not in set(wanted.values())]
    # a larger network of the same family has all of a smaller one's names, and more of them in the same modules
    modules = {name.removeprefix(prefix).partition(".")[0] for name in wanted.values()}
    larger = [
        name for name in left_out
        if name.startswith(prefix) and not CLASSIFIERS & set(name.split("."))
        and name.removeprefix(prefix).partition(".")[0] in modules
    ]  # fmt: skip
    problem = None
    if shapes:
        own = shapes[0]
        problem = f"'{wanted[own]}' is {tuple(present[own].shape)}, not {tuple(expected[own].shape)}"
    elif missing:
        problem = f"'{missing[0]}' is missing"
    elif larger:
        problem = f"'{larger[0]}' is not part of the model"
    return _Match(prefix, {own: value for own, value in present.items() if own not in shapes}, left_out, problem)


def _published_name(own: str, published: tuple[str, str]) -> str:
    """Return the name that a tensor of a backbone has in the network as its authors publish it."""
    theirs, ours = published
    return theirs + own.removeprefix(ours) if own.startswith(ours) else own


def _densenet_name(name: str) -> str:
    """Return torchvision's name of a tensor of a DenseNet that was saved under the names of 2017."""
    return re.sub(r"\.(norm|conv)\.(?=\d+\.)", r".\1", name)
