"""Freed memory stays with the process, and nothing that is computed depends on it."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from mobilenet_chest.config import ModelConfig
from mobilenet_chest.models.zoo import build_model
from mobilenet_chest.training.memory import keep_freed_memory

BLOCK = 2**26
"""Bytes; above 32 MiB glibc, left alone, asks the kernel for every block and returns it at once."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_freed_memory_is_used_again() -> None:
    keep_freed_memory()
    # twice as large: a freed block of just the size asked for may not fit, once it is aligned
    torch.ones(2 * BLOCK, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(BLOCK, dtype=torch.uint8)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < BLOCK / 4096 / 10


def test_gradients_are_the_same() -> None:
    images = torch.randint(0, 256, (4, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def gradients() -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = build_model(ModelConfig(weights="none"), 1)
        model(images).sum().backward()
        return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]

    before = gradients()
    keep_freed_memory()
    torch.testing.assert_close(gradients(), before)
