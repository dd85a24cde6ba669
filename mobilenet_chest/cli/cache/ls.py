"""The command ``cache ls``."""

from __future__ import annotations

from datetime import datetime

from mobilenet_chest import cache
from mobilenet_chest.cli.errors import exit_codes
from mobilenet_chest.cli.format import line, out
from mobilenet_chest.cli.tables import Table


def ls() -> None:
    """List what is cached, and how much room it takes.

    The least recently used entry is first: entries are removed in this order.

    Example: mobilenet-chest cache ls
    """
    with exit_codes():
        folder, entries, limit = cache.folder(), cache.entries(), cache.limit()
        if folder is None:
            line("the cache is off (MOBILENET_CHEST_CACHE=off)")
            return
        rows = Table(["kind", "what", "MB", "last used"], left=["kind", "what", "last used"], whole=["last used"])
        for entry in entries:
            used = datetime.fromtimestamp(entry.used).isoformat(" ", "seconds")
            rows.add_row(entry.kind, entry.about, f"{entry.size / 1e6:.1f}", used)
        if entries:
            out.print(rows)
        line(f"{sum(entry.size for entry in entries) / 1e6:.0f} of {limit / 1e6:.0f} MB used in {folder}")
