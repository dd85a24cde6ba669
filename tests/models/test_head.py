"""Layers of the head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mobilenet_chest.models.head import CBAM, GeneralisedMean, build_head, build_neck


def layers(head: nn.Sequential) -> list[str]:
    shown = []
    for layer in head:
        if isinstance(layer, nn.Linear):
            shown.append(f"Linear({layer.in_features},{layer.out_features})")
        elif isinstance(layer, nn.Dropout):
            shown.append(f"Dropout({layer.p})")
        else:
            shown.append(type(layer).__name__)
    return shown


def test_the_head_of_the_report() -> None:
    head = build_head(960, (1280, 640), 0.5)
    assert layers(head) == [
        "Linear(960,1280)", "Hardswish", "Dropout(0.5)", "Linear(1280,640)", "Hardswish", "Dropout(0.25)",
        "Linear(640,1)",
    ]  # fmt: skip
    assert sum(parameter.numel() for parameter in head.parameters()) == 2_050_561


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [
        ((), ["Dropout(0.4)", "Linear(8,1)"]),
        ((4,), ["Linear(8,4)", "Hardswish", "Dropout(0.4)", "Linear(4,1)"]),
        (
            (4, 3, 2),
            ["Linear(8,4)", "Hardswish", "Dropout(0.4)", "Linear(4,3)", "Hardswish", "Dropout(0.2)", "Linear(3,2)",
             "Hardswish", "Dropout(0.1)", "Linear(2,1)"],
        ),
    ],
)  # fmt: skip
def test_other_heads(hidden: tuple[int, ...], expected: list[str]) -> None:
    assert layers(build_head(8, hidden, 0.4)) == expected


def test_the_generalised_mean_lies_between_mean_and_maximum() -> None:
    maps = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    mean, largest = maps.mean((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    torch.testing.assert_close(GeneralisedMean(p=1.0)(maps), mean)
    torch.testing.assert_close(GeneralisedMean(p=400.0)(maps), largest, atol=0.02, rtol=0)
    pool = GeneralisedMean()
    torch.testing.assert_close(pool(maps), (maps**3).mean((2, 3), keepdim=True) ** (1 / 3))
    pool(maps - 0.5).sum().backward()  # negative values have no third root, and must not make NaN
    assert pool.p.grad is not None
    assert torch.isfinite(pool.p.grad).all()
    assert pool.p.grad.abs() > 0


def test_cbam_weighs_channels_and_places() -> None:
    torch.manual_seed(2)
    block, maps = CBAM(32), torch.rand(2, 32, 6, 5)
    weighed = block(maps)
    assert weighed.shape == maps.shape
    assert ((weighed > 0) & (weighed < maps)).all()  # two sigmoids
    share = weighed / maps
    # a weight for each channel times a weight for each place
    torch.testing.assert_close(share * share[:, :1, :1, :1], share[:, :, :1, :1] * share[:, :1])


@pytest.mark.parametrize(
    ("pooling", "attention", "parameters"),
    [("max", "none", 0), ("gem", "none", 1), ("avg", "se", 2 * 32 * 2 + 2 + 32), ("gem", "cbam", 1 + 162 + 99)],
)
def test_necks(pooling: str, attention: str, parameters: int) -> None:
    neck = build_neck(32, pooling, attention)  # type: ignore[arg-type]
    assert neck is not None
    assert sum(parameter.numel() for parameter in neck.parameters()) == parameters
    pooled = neck(torch.rand(3, 32, 4, 4))
    assert pooled.shape == (3, 32)
    assert build_neck(32, "avg", "none") is None


def test_maximum_pooling() -> None:
    neck, maps = build_neck(2, "max", "none"), torch.rand(3, 2, 4, 4)
    assert neck is not None
    assert torch.equal(neck(maps), maps.amax((2, 3)))
