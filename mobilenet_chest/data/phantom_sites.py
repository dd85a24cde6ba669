"""Sites of the phantom: what another hospital's detector, dose and collimator do to the same anatomy.

A site differs in nothing that a patient has. The order is that of the physics: the collimator cuts the beam, the
detector counts quanta with noise, blurs them, and the console turns the signal into grey levels.

- **Gain.** A console maps the logarithm of the signal to grey with its own slope and offset. Site B shows less
  contrast (slope 0.72) and a brighter film (offset +0.09), after a curve of gamma 1.25 as of a detector without the
  linearisation of site A.
- **Noise.** Quantum noise grows with the inverse square root of the dose. Site B has a quarter of site A's dose:
  twice the noise, drawn before the detector's blur, so that it is correlated; and electronic noise of 0.006, which is
  as strong in dark parts.
- **Resolution.** The light of a scintillator spreads: a blur of 0.8 % of the film's side, in standard deviations.
- **Collimation.** The blades leave a border without exposure on two to four sides, up to 11 % of the film's side each,
  with a half shadow of 1 % because the focal spot has a size. The console shows it black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.errors import DataError

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Site:
    """A scanner. Grey levels are 0 to 1, lengths are shares of the film's side.

    Attributes:
        number: Of its random numbers.
        gamma: Exponent of the detector's curve.
        slope: Of the console: contrast around mid-grey, times this.
        offset: Of the console.
        quantum: Added standard deviation of quantum noise at full exposure.
        electronic: Standard deviation of electronic noise.
        blur: Standard deviation of the scintillator's spread.
        border: Widest unexposed border.
        shadow: Width of a border's half shadow.
    """

    number: int
    gamma: float = 1.0
    slope: float = 1.0
    offset: float = 0.0
    quantum: float = 0.0
    electronic: float = 0.0
    blur: float = 0.0
    border: float = 0.0
    shadow: float = 0.01


SITES: Final = MappingProxyType(
    {
        "A": Site(0),
        "B": Site(1, gamma=1.25, slope=0.72, offset=0.09, quantum=0.03, electronic=0.006, blur=0.008, border=0.11),
    }
)
"""The scanners; A is that of the phantom without sites."""


def check_sites(names: Sequence[str]) -> None:
    """Check the names of sites.

    Raises:
        DataError: One is unknown or stands twice, or there are none.
    """
    for name in names:
        if name not in SITES:
            raise DataError(f"unknown phantom site '{name}'; allowed: {', '.join(SITES)}, or several as A,B")
    if not names or len(set(names)) < len(names):
        raise DataError(f"phantom sites {', '.join(names) or 'none'}: name each site once, such as A,B")


def row_generator(place: tuple[int, int, int], site: Site) -> np.random.Generator:
    """Return the random numbers of a row: those of another site than A are of other patients.

    Args:
        place: Seed, number of the split, and row.
        site: The scanner.
    """
    return np.random.default_rng((*place, *([1 + site.number] if site.number else [])))


def scanned(
    films: NDArray[np.uint8], sites: Sequence[Site], generators: Sequence[np.random.Generator]
) -> NDArray[np.uint8]:
    """Return films of site A as their sites would have made them: uint8 (n, size, size).

    Args:
        films: uint8 (n, size, size).
        sites: The scanner of each film.
        generators: One for each film.
    """
    made = films.copy()
    for site in dict.fromkeys(sites):
        if site.number:
            places = [place for place, each in enumerate(sites) if each == site]
            made[places] = _scanned(films[places], site, [generators[place] for place in places])
    return made


def _scanned(
    films: NDArray[np.uint8], site: Site, generators: Sequence[np.random.Generator]
) -> NDArray[np.uint8]:  # fmt: skip
    n, size = len(films), films.shape[1]
    sides = np.stack([generator.random(8, np.float32) for generator in generators])
    grain = np.stack([generator.standard_normal((2, size, size), np.float32) for generator in generators])
    exposure = films.astype(np.float32) / 255
    signal = np.power(exposure, site.gamma) + site.quantum * np.sqrt(np.clip(exposure, 0.05, 1)) * grain[:, 0]
    signal = _blurred(signal, site.blur * size) + site.electronic * grain[:, 1]
    grey = 0.5 + site.slope * (signal - 0.5) + site.offset
    open_field = _open_field(sides.reshape(n, 4, 2), size, site)
    return np.asarray(np.clip(grey * open_field, 0, 1) * 255 + 0.5, np.uint8)


def _blurred(films: Floats, sigma: float) -> Floats:
    """Return films convolved with a Gaussian of ``sigma`` pixels, edges repeated."""
    if sigma <= 0:
        return films
    reach = max(1, int(np.ceil(3 * sigma)))
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma)).astype(np.float32)
    kernel /= kernel.sum()
    for axis in (1, 2):
        width = [(0, 0)] * 3
        width[axis] = (reach, reach)
        padded, length = np.pad(films, width, mode="edge"), films.shape[axis]
        films = np.asarray(
            sum(w * np.take(padded, range(i, i + length), axis) for i, w in enumerate(kernel)), np.float32
        )
    return films


def _open_field(sides: Floats, size: int, site: Site) -> Floats:
    """Return what the blades let through, 0 to 1, (n, size, size).

    Args:
        sides: (n, 4, 2), 0 to 1, for left, right, top and bottom: whether there is a border, and how wide it is.
        size: Pixels.
        site: The scanner.
    """
    # two opposite sides always have a border, each of the other two on every second film
    there = sides[:, :, 0] < np.array([1.0, 1.0, 0.5, 0.5], np.float32)
    widths = np.where(there, site.border * (0.2 + 0.8 * sides[:, :, 1]), -1.0)
    place = (np.arange(size, dtype=np.float32) + 0.5) / size
    low, high = (
        (place - widths[:, side, None] for side in (0, 2)),
        (1 - place - widths[:, side, None] for side in (1, 3)),
    )
    across, down = (
        np.clip(near / site.shadow + 0.5, 0, 1) * np.clip(far / site.shadow + 0.5, 0, 1)
        for near, far in zip(low, high, strict=True)
    )
    return np.asarray(down[:, :, None] * across[:, None, :])
