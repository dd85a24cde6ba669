"""Weights as others save them: the backbone takes them under any prefix, and says what is missing otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.errors import WeightsError
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.foreign import is_own
from mobilenet_chest.models.zoo import build_model

State = dict[str, Tensor]
NAME = "mobilenet_v3_small"


def network(name: str) -> nn.Module:
    torch.manual_seed(3)
    if name.startswith("timm:"):
        made: nn.Module = timm.create_model(name.removeprefix("timm:"), num_classes=5)
    elif name == "efficientnet_lite0":
        made = timm.create_model("tf_efficientnet_lite0", num_classes=5)
    else:
        made = getattr(torchvision.models, name)(num_classes=5)
    for value in made.state_dict().values():  # statistics that no fresh network has
        if value.is_floating_point():
            value.add_(torch.rand_like(value) * 0.01)
    return made.eval()


def built(path: Path, name: str = NAME, channels: int = 3, **fields: Any) -> Classifier:
    config = ModelConfig.model_validate({"name": name, "weights": str(path), "hidden": [8], **fields})
    return build_model(config, channels).eval()


def refusal(path: Path, **fields: Any) -> str:
    with pytest.raises(WeightsError) as caught:
        built(path, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        NAME, "timm:mobilenetv2_050", "efficientnet_lite0", "mobilenet_v2", "efficientnet_b0", "resnet50",
        "densenet121",
        "mobilenet_v3_large",
    ],
)  # fmt: skip
def test_published_networks_of_every_architecture(tmp_path: Path, name: str) -> None:
    theirs = network(name)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    ours = built(tmp_path / "w.pth", name)
    images = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    expected: list[Tensor] = []
    last = [module for module in theirs.modules() if isinstance(module, nn.Linear)]
    first_linear = next(m for m in last if m.in_features >= ours.backbone(images).shape[1])
    first_linear.register_forward_pre_hook(lambda module, inputs: expected.append(inputs[0].flatten(1)))
    with torch.inference_mode():
        theirs(images)
        torch.testing.assert_close(ours.backbone(images), expected[0], atol=1e-5, rtol=1e-4)


WRAPPED: dict[str, Callable[[State], Any]] = {
    "plain": lambda s: s,
    "parallel": lambda s: {f"module.{k}": v for k, v in s.items()},
    "lightning": lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}, "epoch": 3, "loops": {}},
    "timm": lambda s: {"arch": "x", "state_dict": s, "epoch": 3, "args": None},
    "twice": lambda s: {"model": {"state_dict": s}},
    "trainer": lambda s: {"model": {f"module.net.{k}": v for k, v in s.items()}, "optimizer": {"state": {}}},
    "compiled": lambda s: {"model_state_dict": {f"_orig_mod.{k}": v for k, v in s.items()}},
    "with a criterion": lambda s: {f"net.{k}": v for k, v in s.items()} | {"criterion.weight": torch.zeros(2)},
    "without a classifier": lambda s: {k: v for k, v in s.items() if not k.startswith("classifier")},
    "without counters": lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
    "in half precision": lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
}


@pytest.fixture(scope="module")
def published() -> State:
    return network(NAME).state_dict()


@pytest.mark.parametrize("form", WRAPPED)
@pytest.mark.parametrize("channels", [1, 3])
def test_forms_of_files(tmp_path: Path, published: State, form: str, channels: int) -> None:
    torch.save(WRAPPED[form](published), tmp_path / "w.pth")
    model = built(tmp_path / "w.pth", channels=channels, stem="sum")
    stem, last = model.backbone.get_submodule("0.0.0").weight, model.backbone.get_submodule("0.12.0").weight
    expected = published["features.0.0.weight"]
    expected = expected if channels == 3 else expected.sum(1, keepdim=True)
    assert isinstance(stem, Tensor)
    assert isinstance(last, Tensor)
    torch.testing.assert_close(stem, expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(last, published["features.12.0.weight"], atol=1e-3, rtol=1e-3)


def test_safetensors(tmp_path: Path, published: State) -> None:
    save_file({f"module.{k}": v.contiguous() for k, v in published.items()}, tmp_path / "w.safetensors")
    model = built(tmp_path / "w.safetensors")
    assert torch.equal(model.backbone.state_dict()["0.1.block.0.0.weight"], published["features.1.block.0.0.weight"])


def test_the_names_of_an_old_densenet(tmp_path: Path) -> None:
    state = network("densenet121").state_dict()
    old = {re.sub(r"(denselayer\d+)\.(norm|conv)", r"\1.\2.", name): value for name, value in state.items()}
    assert old.keys() != state.keys()
    chexnet = {f"module.densenet121.{name}": value for name, value in old.items()}
    torch.save({"state_dict": chexnet, "epoch": 3, "best_loss": 0.1}, tmp_path / "w.pth")
    loaded = built(tmp_path / "w.pth", "densenet121").backbone.state_dict()
    name = "denseblock2.denselayer3.norm1.running_var"
    assert torch.equal(loaded[f"0.{name}"], state[f"features.{name}"])


def test_a_network_for_gray_images(tmp_path: Path, published: State) -> None:
    gray = published | {"features.0.0.weight": published["features.0.0.weight"][:, :1]}
    torch.save(gray, tmp_path / "w.pth")
    for stem in ("mean", "sum"):
        model = built(tmp_path / "w.pth", channels=1, stem=stem)
        assert torch.equal(model.backbone.state_dict()["0.0.0.weight"], gray["features.0.0.weight"])
    assert "'features.0.0.weight' is (16, 1, 3, 3), not (16, 3, 3, 3)" in refusal(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "features.3.block.0.0.weight"}, "block.0.0.weight' is missing"),
        (lambda s: s | {"features.12.1.bias": torch.zeros(7)}, "'features.12.1.bias' is (7,), not (576,)"),
        (lambda s: s | {"features.13.0.weight": torch.zeros(7)}, "'features.13.0.weight' is not part of the model"),
        (lambda s: {f"{w}.{k}": v for w in ("student", "teacher") for k, v in s.items()}, "'student.' and 'teacher.'"),
        (lambda s: {"weight": torch.zeros(1)}, "0 of the backbone's 240 tensors fit"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, published: State, change: Callable[[State], State], part: str
) -> None:
    torch.save(change(published), tmp_path / "w.pth")
    line = refusal(tmp_path / "w.pth", channels=1)
    assert line.startswith(f"{tmp_path / 'w.pth'}: ")
    assert part in line


def test_own_checkpoints_are_told_apart(published: State) -> None:
    model = build_model(ModelConfig(name=NAME, weights="none", hidden=(8,)), 1)
    assert is_own(model.state_dict(), model.backbone)
    assert not is_own(published, model.backbone)


def test_a_path_that_no_file_can_have() -> None:
    for name in ("x" * 600, "a\0b"):
        assert "no file" in refusal(Path(name))
