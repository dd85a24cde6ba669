"""Energy counters as Linux lays them out."""

from __future__ import annotations

from pathlib import Path

from mobilenet_chest.deploy.benchmark.energy import EnergyCounter


def zone(folder: Path, name: str, used: int) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "energy_uj").write_text(f"{used}\n")
    (folder / name / "max_energy_range_uj").write_text("10000000\n")


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0", "intel-rapl-mmio:0"):
        zone(tmp_path, name, 1_000_000)
    counter = EnergyCounter(tmp_path)
    zone(tmp_path, "intel-rapl:0", 1_500_000)
    zone(tmp_path, "intel-rapl:1", 3_000_000)
    zone(tmp_path, "intel-rapl:0:0", 9_000_000)
    assert counter.joules() == 2.5
    counter.restart()
    assert counter.joules() == 0


def test_a_counter_that_began_again(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", 9_000_000)
    counter = EnergyCounter(tmp_path)
    zone(tmp_path, "intel-rapl:0", 1_000_000)
    assert counter.joules() == 2.0


def test_where_there_are_none_or_they_cannot_be_read(tmp_path: Path) -> None:
    assert EnergyCounter(tmp_path / "none").joules() is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert EnergyCounter(tmp_path).joules() is None
