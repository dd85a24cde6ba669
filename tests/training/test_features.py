"""Stored outputs of the frozen blocks stand for the images they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.experiments import LARGE_MODEL

from mobilenet_chest import cache
from mobilenet_chest.config import AugmentConfig, Config
from mobilenet_chest.data.augment import Draws
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.training import features
from mobilenet_chest.training.features import Inputs, as_fed, prepare_inputs, state_digest
from mobilenet_chest.training.stages import Prepared, prepare

Make = Callable[..., Config]
CPU = torch.device("cpu")


@pytest.fixture
def prepared(phantom_config: Make) -> Prepared:
    return prepare(phantom_config(LARGE_MODEL))


def inputs(
    prepared: Prepared, blocks: int, size: int = 32, precision: torch.dtype = torch.float32, **augment: Any
) -> Inputs:
    prepared.model.freeze(blocks)
    return prepare_inputs(prepared.model, prepared.data, AugmentConfig(**augment), size, CPU, precision)


def kept() -> list[str]:
    return [entry.about for entry in cache.entries()]


@pytest.mark.parametrize("blocks", [1, 7, 17])
def test_a_batch_is_that_of_the_images(prepared: Prepared, blocks: int) -> None:
    """Rows in any order, mirrored or not."""
    features = inputs(prepared, blocks)
    model, images = prepared.model.eval(), prepared.data.train.images
    assert (features.block, features.views, features.why) == (blocks, (False, True), None)
    rows, flip = torch.tensor([5, 0, 63, 5]), torch.tensor([True, False, True, False])
    with torch.inference_mode():
        pixels = torch.where(flip[:, None, None, None], images[rows].flip(-1), images[rows])
        batch = features.batch(rows, Draws(flip))
        torch.testing.assert_close(batch, model.up_to(blocks, pixels))
        torch.testing.assert_close(model.from_block(blocks, batch), model(pixels))
        torch.testing.assert_close(model.from_block(blocks, as_fed(features.val)), model(prepared.data.val.images))
    assert batch.ndim == 2 or batch.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("hflip", "views"), [(0, (False,)), (0.3, (False, True)), (1, (True,))])
def test_only_the_views_that_can_occur(prepared: Prepared, hflip: float, views: tuple[bool, ...]) -> None:
    features = inputs(prepared, 17, hflip=hflip)
    assert features.views == views
    assert features.train.shape == (len(views) * 68, 960)
    assert features.val.shape == (34, 960)
    model, images = prepared.model.eval(), prepared.data.train.images
    with torch.inference_mode():
        expected = torch.cat([model.features(images.flip(-1) if mirrored else images) for mirrored in views])
    torch.testing.assert_close(features.train, expected)
    if len(views) == 1:
        rows = torch.tensor([3])
        torch.testing.assert_close(features.batch(rows, Draws(torch.tensor([views[0]]))), features.train[rows])


def test_nothing_frozen_nothing_stored(prepared: Prepared) -> None:
    features = inputs(prepared, 0, size=24)
    assert (features.block, features.views, features.why) == (0, None, None)
    assert (features.train.shape, features.val.shape) == ((68, 1, 24, 24), (34, 1, 32, 32))
    assert not [about for about in kept() if "frozen" in about]


def test_rotation_has_no_end_of_views(prepared: Prepared) -> None:
    features = inputs(prepared, 17, rotation=5)
    assert (features.block, features.views) == (0, None)
    assert features.why == "augment.rotation gives more than a few views of an image"
    several = inputs(prepared, 17, rotation=5, gamma=0.5)
    assert several.why == "augment.rotation, augment.gamma give more than a few views of an image"
    assert torch.equal(features.train, prepared.data.train.images)


def test_a_cache_that_is_off(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.FOLDER_VARIABLE, cache.OFF)
    assert inputs(prepared, 17).why == "the cache is off"


def test_outputs_that_are_too_big(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first block's: 16 channels of 16 by 16 float32, 68 images in two views, 2.2 MB."""
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "0.008")
    assert inputs(prepared, 1).why == "its outputs take 0.0 GB, more than 25% of the cache"
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "0.009")
    assert inputs(prepared, 1).block == 1


def test_computed_once(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    first = inputs(prepared, 17)

    def fails(*arguments: Any) -> Any:
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr(features.cache, "write", fails)
        again = inputs(prepared, 17)
    assert torch.equal(first.train, again.train)
    assert not again.train.requires_grad
    assert sorted(kept())[:2] == ["34 images, 32 pixels, 1 views, 17 frozen blocks",
                                  "68 images, 32 pixels, 2 views, 17 frozen blocks"]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},  # other random weights
        {"model.stem": "sum"},
        {"model.stem": "repeat"},
        {"data.image_size": 40},
    ],
)
def test_what_makes_other_features(phantom_config: Make, change: dict[str, Any]) -> None:
    inputs(prepare(phantom_config(LARGE_MODEL)), 17)
    before = len(kept())
    other = prepare(phantom_config(LARGE_MODEL | change))
    inputs(other, 17, size=change.get("data.image_size", 32))
    assert len([about for about in kept() if "frozen" in about]) == 4
    assert len(kept()) > before


@pytest.mark.parametrize(
    "change", [{"model.dropout": 0.1}, {"model.hidden": [4]}, {"stage1.lr": 0.5}, {"optimizer.batch_size": 3}]
)
def test_what_does_not(phantom_config: Make, change: dict[str, Any]) -> None:
    inputs(prepare(phantom_config(LARGE_MODEL)), 17)
    before = kept()
    inputs(prepare(phantom_config(LARGE_MODEL | change)), 17)
    assert sorted(kept()) == sorted(before)


def test_precision_makes_other_features(prepared: Prepared) -> None:
    full, half = inputs(prepared, 17), inputs(prepared, 17, precision=torch.bfloat16)
    assert (full.train.dtype, half.train.dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(half.train.float(), full.train, atol=0.02, rtol=0.1)


def test_the_digest_of_a_state(prepared: Prepared) -> None:
    state = dict(prepared.model.state_dict())
    digest = state_digest(state)
    assert digest == state_digest({name: value.clone() for name, value in state.items()})
    name = next(iter(state))
    changed = state[name].clone()
    changed.view(-1)[0] += 1e-6
    assert digest != state_digest(state | {name: changed})
    assert state_digest({"a": torch.zeros(2, 3)}) != state_digest({"a": torch.zeros(3, 2)})


def test_frozen_state_is_that_of_the_frozen_blocks(prepared: Prepared) -> None:
    model: Classifier = prepared.model
    model.freeze(2)
    assert {name.split(".")[1] for name in model.frozen_state()} == {"0", "1"}
    model.freeze(17)
    whole = model.backbone.state_dict()
    assert {name: value.shape for name, value in model.frozen_state().items()} == {n: v.shape for n, v in whole.items()}


def test_the_file_is_what_it_says(prepared: Prepared, cache_folder: Path) -> None:
    features = inputs(prepared, 7)
    sizes = sorted(path.stat().st_size for path in (cache_folder / "features").rglob("outputs.bin"))
    assert sizes == [features.val.numel() * 4, features.train.numel() * 4]
    assert features.train.shape == (136, 4, 4, 40)
