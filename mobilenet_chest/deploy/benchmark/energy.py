"""The energy that the processor has used, where Linux lets it be read (RAPL)."""

from __future__ import annotations

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class EnergyCounter:
    """The counters of all processor packages of this machine.

    They count what every process uses, and start again from 0 at a value of their own.

    Args:
        folder: Where Linux has them.
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
        # intel-rapl:0 is a package, intel-rapl:0:0 a part of it; AMD's processors have the same names
        self._zones = sorted(zone for zone in folder.glob("intel-rapl:*") if zone.name.count(":") == 1)
        self._before = self._read()

    def _read(self) -> list[int] | None:
        try:
            return [int((zone / "energy_uj").read_text()) for zone in self._zones] or None
        except (OSError, ValueError):  # there are none, or only root may read them
            return None

    def restart(self) -> None:
        """Count from now on."""
        self._before = self._read()

    def joules(self) -> float | None:
        """Return the energy since the start, in joules; ``None`` where it cannot be read."""
        now = self._read()
        if now is None or self._before is None:
            return None
        total = 0
        for zone, before, after in zip(self._zones, self._before, now, strict=True):
            total += after - before
            if after < before:
                total += int((zone / "max_energy_range_uj").read_text())
        return total / 1e6
