"""The command ``cache clear``."""

from __future__ import annotations

from mobilenet_chest import cache
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line


def clear() -> None:
    """Remove all of it, except what is being written now.

    Example: mobilenet-chest cache clear
    """
    with exit_codes():
        line(f"{cache.clear() / 1e6:.0f} MB freed")
