"""The start of a training that compresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import ConfigError, ExportFailed
from mobilenet_chest.models.zoo import build_model
from mobilenet_chest.training import compress

if TYPE_CHECKING:
    from helpers.stores import Store


@pytest.mark.parametrize("cached", [True, False])
def test_a_network_that_cannot_be_quantised_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    def fail(*_: object) -> None:
        raise ExportFailed("the operator Celu cannot be trained")

    monkeypatch.setattr(compress, "_quantize", fail)
    if not cached:
        monkeypatch.setenv("MOBILENET_CHEST_CACHE", "off")
    config = store.config({"stage1.epochs": 0, "compress": {"method": "int8-qat", "parent": store.single}})
    model = build_model(config.model, 1)
    with pytest.raises(ConfigError, match=r"int8-qat cannot be done to timm:mobilenetv2_050 \(the operator Celu"):
        compress.compressed_start(model, config, model.state_dict(), load_train_val(config.data))
