"""Layers of the head."""

from __future__ import annotations

import pytest
from torch import nn

from mobilenet_chest.models.head import build_head


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
