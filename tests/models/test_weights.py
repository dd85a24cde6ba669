"""Pretrained weights: real ones from a package, one clear line where there are none, and no code run from a file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.errors import WeightsError
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.weights import efficientnet_lite0_weights, load_state_dict
from mobilenet_chest.models.zoo import build_model
from mobilenet_chest.training import checkpoint

FEATURES = [0.27963, 0.84691, 5.69201]
"""Mean, standard deviation and largest of the features of three ramps, by the published weights."""

SMALL: dict[str, Any] = {"name": "timm:resnet10t", "hidden": [8]}


def built(channels: int = 1, **fields: Any) -> Classifier:
    return build_model(ModelConfig.model_validate(fields), channels).eval()


def refusal(**fields: Any) -> str:
    with pytest.raises(WeightsError) as caught:
        built(**fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_real_imagenet_weights_of_efficientnet_lite0() -> None:
    model = built(3, name="efficientnet_lite0", weights="imagenet")
    ramp = torch.arange(64, dtype=torch.uint8) * 4
    images = torch.stack([ramp.expand(64, 64), ramp.expand(64, 64).T, ramp.expand(64, 64).flip(1)])[None]
    with torch.inference_mode():
        features = model.features(images)
        assert torch.equal(features, model.features(images))
    assert features.shape == (1, 1280)
    statistics = [features.mean().item(), features.std().item(), features.max().item()]
    assert statistics == pytest.approx(FEATURES, rel=1e-3)
    torch.testing.assert_close(model.mean.flatten(), torch.full((3,), 127.5))
    torch.testing.assert_close(model.std.flatten(), torch.full((3,), 127.5))


def test_sum_is_repeat_with_real_weights() -> None:
    images = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        summed, repeated, mean = (
            built(name="efficientnet_lite0", weights="imagenet", stem=stem).features(images)
            for stem in ("sum", "repeat", "mean")
        )
    torch.testing.assert_close(summed, repeated, atol=1e-5, rtol=1e-4)
    assert mean.abs().mean() < 0.8 * summed.abs().mean()


def test_a_package_of_another_version() -> None:
    with pytest.raises(WeightsError, match=r"\b296\b.*tf_efficientnet_lite0 .*\b2\b"):
        efficientnet_lite0_weights(["a", "b"])


@pytest.mark.parametrize(
    ("name", "file"),
    [("mobilenet_v3_large", "mobilenet_v3_large-5c1a4163.pth"), ("densenet121", "densenet121-a639ec97.pth")],
)
@pytest.mark.usefixtures("no_network")
def test_no_weights_and_no_network(tmp_path: Path, name: str, file: str) -> None:
    line = refusal(name=name)
    assert file in line
    assert str(tmp_path / "hub" / "checkpoints" / file) in line
    assert f"https://download.pytorch.org/models/{file}" in line
    assert "set model.weights to 'none' (random start) or to the path of a state dict" in line


@pytest.mark.usefixtures("no_network")
def test_a_file_that_is_not_the_published_one(tmp_path: Path) -> None:
    path = tmp_path / "hub" / "checkpoints" / "mobilenet_v3_large-5c1a4163.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    line = refusal()
    assert "sha256 should be 5c1a4163" in line
    assert "data.path" not in line
    assert path.read_bytes() == b"something else"


def test_an_unknown_model_of_timm() -> None:
    assert refusal(name="timm:resnet10", weights="none").startswith("model timm:resnet10: Unknown model")


# --- weights from a file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["checkpoint", "state dict", "safetensors"])
def test_weights_from_a_file(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(11)
    state = built(weights="none", **SMALL).state_dict()
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "checkpoint":
        checkpoint.save(path, {"model": state, "history": [], "config": {"name": "x"}})
    elif kind == "state dict":
        torch.save(state, path)
    else:
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    torch.manual_seed(12)
    assert same(built(weights=str(path), **SMALL).state_dict(), state)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"hidden": [9]}, "'head.0.weight' is (8, 512), not (9, 512) (0 missing, 0 unknown, 3 of another shape)"),
        ({"hidden": [8, 8]}, "2 missing"),
        ({"hidden": []}, "unknown"),
        ({"stem": "repeat"}, "backbone.conv1.0.weight' is"),
    ],
)
def test_weights_of_another_network(tmp_path: Path, change: dict[str, Any], part: str) -> None:
    torch.save(built(weights="none", **SMALL).state_dict(), tmp_path / "w.pt")
    line = refusal(**SMALL | {"weights": str(tmp_path / "w.pt")} | change)
    assert line.startswith(f"{tmp_path / 'w.pt'}: does not fit the model: ")
    assert part in line
    assert "same model.name, stem and hidden" in line


class _Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.canary}",)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_hostile_pickle_runs_nothing(tmp_path: Path, kind: str) -> None:
    path, canary = tmp_path / "w.pt", tmp_path / "canary"
    hostile = {"weight": torch.zeros(1), "other": _Hostile(canary)}
    if kind == "torch":
        torch.save(hostile, path)
    else:
        path.write_bytes(pickle.dumps(hostile))
    line = refusal(weights=str(path))
    assert line.startswith(f"{path}: not a state dict that can be loaded safely")
    assert not canary.exists()
    pickle.loads(pickle.dumps(_Hostile(canary)))
    assert canary.exists()  # so the file was dangerous indeed


@pytest.mark.parametrize(
    ("contents", "part"),
    [
        (b"", "not a state dict that can be loaded safely"),
        (b"PK\x03\x04 damaged", "not a state dict that can be loaded safely"),
        (None, "no file"),
        ([torch.zeros(1)], "holds list with values that are not tensors"),
        ({"epoch": 3}, "holds dict with values that are not tensors"),
    ],
)
def test_files_that_hold_no_state_dict(tmp_path: Path, contents: Any, part: str) -> None:
    path = tmp_path / "w.pt"
    if isinstance(contents, bytes):
        path.write_bytes(contents)
    elif contents is not None:
        torch.save(contents, path)
    with pytest.raises(WeightsError) as caught:
        load_state_dict(path)
    assert part in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_damaged_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"\xff" * 64)
    assert str(path) in refusal(weights=str(path))
