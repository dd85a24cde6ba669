"""Synthetic chest radiographs in ChestMNIST's layout: data that needs no network, no licence and no disk.

Every image is drawn from smooth vector geometry, so that one row shows the same patient at any size. The two classes
differ as they do on films: an enlarged heart (cardiomegaly) against a normal heart with air between lung and chest
wall (pneumothorax). Everything else (pose, build, exposure, noise, ribs, breast shadows, lines and leads) is drawn
from the same distributions for all rows, so that only anatomy gives the class away.

Coordinates: the body frame has ``u`` from the image's left to its right and ``v`` downwards, both about -1 to 1 over
the film; ``a`` is the distance from the patient's midline. Brightness is attenuation: bone 1, air 0, about.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.data.phantom_sites import SITES, check_sites, row_generator, scanned
from mobilenet_chest.errors import DataError, nearest
from mobilenet_chest.processor import free_threads

Floats = NDArray[np.floating[Any]]  # float32 throughout
Bytes = NDArray[np.uint8]
Parameters = dict[str, Floats]  # a range's name: one value a row, (n, 1, 1)

SPLITS: Final = ("train", "val", "test")
ROWS: Final[Mapping[str, int]] = MappingProxyType({"train": 1200, "val": 320, "test": 400})
SMALLEST, LARGEST = 16, 512

LABELS: Final = 14
ATELECTASIS, CARDIOMEGALY, EFFUSION, INFILTRATION, PNEUMOTHORAX = 0, 1, 2, 3, 7

# Findings of each 40 consecutive rows, shuffled within the 40: any longer run of rows has the proportions of the
# real single-label set (754 to 1,552), whatever the seed. The last six are what a single-label filter must drop.
_BLOCK: Final[tuple[tuple[int, ...], ...]] = (
    *[(CARDIOMEGALY,)] * 11,
    *[(PNEUMOTHORAX,)] * 23,
    (CARDIOMEGALY, EFFUSION),
    (ATELECTASIS, PNEUMOTHORAX),
    (CARDIOMEGALY, PNEUMOTHORAX),
    (EFFUSION,),
    (INFILTRATION,),
    (),
)

# Uniform ranges, one draw each per row and all drawn for every row: a finding then changes nothing but itself.
# Append new ones at the end only, or every image changes. Lengths in body units, angles in radians.
# fmt: off
_RANGES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType({
    # pose and build
    "shift_u": (-0.2, 0.2), "shift_v": (-0.2, 0.2), "turn": (-0.2, 0.2), "zoom": (0.86, 1.3), "slim": (0.92, 1.10),
    "sway": (-0.035, 0.035), "trunk": (0.86, 1.08), "shoulder": (-0.90, -0.74), "fat": (0.0, 0.16),
    # thorax
    "chest": (0.58, 0.70), "apex": (1.00, 1.16), "base_left": (0.42, 0.58), "base_right": (0.46, 0.62),
    "dome": (0.10, 0.24), "pedicle": (0.09, 0.15), "yaw": (-0.04, 0.04), "knob": (0.03, 0.08),
    # heart: width is a quantile, mapped to a cardiothoracic ratio by class
    "heart_width": (0.0, 1.0), "heart_round": (0.70, 0.92), "heart_tilt": (0.35, 0.75), "heart_left": (0.22, 0.42),
    "heart_sink": (0.70, 0.95), "heart_density": (0.85, 1.0),
    # pneumothorax: gap between lung and chest wall, as a share of the lung, at apex and at base
    "side": (-1.0, 1.0), "gap_apex": (0.4, 0.72), "gap_base": (0.22, 0.56), "gap_wave": (-0.03, 0.03),
    "gap_phase": (0.0, 6.28), "air": (0.02, 0.09), "pleura": (0.45, 0.65),
    # other findings
    "spot_side": (-1.0, 1.0), "spot_a": (0.25, 0.45), "spot_v": (-0.35, 0.30), "spot_radius": (0.08, 0.20),
    "fluid": (0.15, 0.40),
    # bones
    "rib_pitch": (0.125, 0.165), "rib_phase": (0.0, 6.28), "rib_slope": (0.25, 0.60), "rib": (0.02, 0.05),
    "clavicle_v": (-0.70, -0.56), "clavicle_rise": (0.05, 0.25), "spine": (0.02, 0.08), "scapula": (0.44, 0.62),
    "scapula_density": (0.0, 0.12),
    # soft tissue and lungs
    "lung": (0.34, 0.48), "breast": (-0.05, 0.16), "breast_v": (0.22, 0.42), "haze": (-0.05, 0.05),
    "haze_side": (-0.05, 0.05), "vessels": (0.28, 0.46), "vessel_left": (0.0, 6.28), "vessel_right": (0.0, 6.28),
    "vessel_bend": (-5.0, 5.0), "bubble": (-0.20, 0.20), "texture": (0.04, 0.08),
    # a tube or lead across the film, seen on one film in three
    "lead": (-0.40, 0.20), "lead_u": (-0.50, 0.50), "lead_slope": (-0.50, 0.50),
    # exposure and noise
    "gamma": (0.75, 1.40), "brightness": (0.40, 0.62), "contrast": (0.19, 0.27), "noise": (0.004, 0.016),
})
# fmt: on
# Cardiothoracic ratios: the ranges overlap, so that the size of the heart alone does not decide.
_NORMAL: Final = (0.37, 0.55)
_ENLARGED: Final = (0.49, 0.64)
_PLEURA: Final = 0.028
_WAVES: Final = 5
_CHUNK_PIXELS: Final = 1 << 16


class _Film(NamedTuple):
    """Position of each pixel of n images in its patient: arrays (n, size, size)."""

    u: Floats
    v: Floats
    a: Floats
    right: NDArray[np.bool_]
    pixel: float


def generate(
    size: int = 64, rows: Mapping[str, int] = ROWS, seed: int = 2024, sites: Sequence[str] = ("A",)
) -> dict[str, NDArray[Any]]:
    """Draw a dataset with the six arrays of a MedMNIST ``.npz``, and whose scanner made each row where it is not A's.

    A row depends on ``seed``, its split and its place in the split only: fewer rows are a prefix of more rows.

    Args:
        size: Height and width in pixels, 16 to 512.
        rows: Rows of each split, before any filter; a split left out has none.
        seed: Not negative.
        sites: Names of :data:`~mobilenet_chest.data.phantom_sites.SITES`; rows are of each in turn. Each site has
            patients of its own.

    Returns:
        ``{split}_images`` uint8 (n, size, size) and ``{split}_labels`` uint8 (n, 14) of zeros and ones, for the
        splits train, val and test. With other sites than A also ``{split}_site``, text (n,).

    Raises:
        DataError: An argument is out of its range, or a split is unknown.
    """
    _check(size, rows, seed, sites)
    arrays: dict[str, NDArray[Any]] = {}
    for split_index, split in enumerate(SPLITS):
        count = rows.get(split, 0)
        labels = _labels(count, seed, split_index)
        if tuple(sites) != ("A",):
            arrays[f"{split}_site"] = np.array([sites[row % len(sites)] for row in range(count)], np.str_)
        arrays[f"{split}_images"] = _draw(labels, (seed, split_index), size, sites)
        arrays[f"{split}_labels"] = labels
    return arrays


def _check(size: int, rows: Mapping[str, int], seed: int, sites: Sequence[str]) -> None:
    check_sites(sites)
    if not SMALLEST <= size <= LARGEST:
        raise DataError(f"phantom size {size} is out of range; allowed: {SMALLEST} to {LARGEST}")
    for split, count in rows.items():
        if split not in SPLITS:
            raise DataError(f"unknown phantom split '{split}'; allowed: {', '.join(SPLITS)}{nearest(split, SPLITS)}")
        if count < 0:
            raise DataError(f"phantom rows of split '{split}' are {count}; allowed: 0 or more")
    if seed < 0:
        raise DataError(f"phantom seed {seed} is negative; allowed: 0 or more")


def _chunks(count: int, size: int) -> Iterator[slice]:
    """Yield slices of rows whose temporaries fit the processor's cache, which bounds memory, too."""
    step = max(1, _CHUNK_PIXELS // size**2)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _labels(count: int, seed: int, split_index: int) -> Bytes:
    labels = np.zeros((count, LABELS), np.uint8)
    for start in range(0, count, len(_BLOCK)):
        # The fourth number keeps this stream apart from those of the rows.
        order = np.random.default_rng((seed, split_index, start, 1)).permutation(len(_BLOCK))
        for row, place in enumerate(order[: count - start], start):
            labels[row, list(_BLOCK[place])] = 1
    return labels


def _draw(labels: Bytes, start: tuple[int, int], size: int, sites: Sequence[str]) -> Bytes:
    """Return the images uint8 (n, size, size) of a split; ``start`` is the seed of the data and the split's number."""
    images = np.empty((len(labels), size, size), np.uint8)

    def draw(chunk: slice) -> None:
        of_rows = [SITES[sites[row % len(sites)]] for row in range(chunk.start, chunk.stop)]
        generators = [row_generator((*start, row), site) for row, site in enumerate(of_rows, chunk.start)]
        images[chunk] = scanned(_images(labels[chunk], generators, size), of_rows, generators)

    with ThreadPoolExecutor(free_threads(busy=0.0)) as threads:  # numpy computes without Python's lock
        deque(threads.map(draw, _chunks(len(labels), size)), maxlen=0)  # an error of a thread is raised here
    return images


def _images(labels: Bytes, generators: list[np.random.Generator], size: int) -> Bytes:
    """Return images uint8 (n, size, size) for labels uint8 (n, 14) and one generator for each row."""
    columns = len(_RANGES) + 3 * _WAVES
    draws = np.stack([generator.random(columns, np.float32) for generator in generators])[:, :, None, None]
    p: Parameters = {name: low + (high - low) * draws[:, i] for i, (name, (low, high)) in enumerate(_RANGES.items())}
    # Drawn after the anatomy, which therefore does not depend on the size.
    grain = np.stack([generator.standard_normal((size, size), np.float32) for generator in generators])
    film = _film(p, size)
    return _expose(_attenuation(film, p, labels[:, :, None, None] > 0, draws[:, len(_RANGES) :]), grain, p)


def _film(p: Parameters, size: int) -> _Film:
    axis = ((np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1).astype(np.float32)
    x, y = axis[None, None, :] - p["shift_u"], axis[None, :, None] - p["shift_v"]
    cos, sin = np.cos(p["turn"]) / p["zoom"], np.sin(p["turn"]) / p["zoom"]
    v = cos * y - sin * x
    # The sway bends the spine: no two patients can be laid over each other by a shift and a turn.
    u = (cos * x + sin * y) * p["slim"] + p["sway"] * np.sin(3 * v)
    return _Film(u, v, np.abs(u), u > 0, 2 / size)


def _edge(distance: Floats, softness: float) -> Floats:
    """Return a level that rises from 0 to 1 across an edge at distance 0."""
    level: Floats = 0.5 + 0.5 * np.tanh(distance * (1 / softness))
    return level


def _line(distance: Floats, width: float, pixel: float) -> Floats:
    """Return a bright line at distance 0; one thinner than a pixel is fainter, as by averaging over the pixel."""
    drawn = float(np.hypot(width, 0.6 * pixel))
    level: Floats = (width / drawn) * np.exp(-np.square(distance * (1 / drawn)))
    return level


def _attenuation(film: _Film, p: Parameters, has: NDArray[np.bool_], waves: Floats) -> Floats:
    """Return the patients without exposure and noise: float32 (n, size, size), about 0 to 1.2."""
    u, v, a, right, pixel = film
    soft = float(np.hypot(0.02, 0.5 * pixel))

    shoulder = p["shoulder"] + 0.55 * np.square(np.maximum(a - 0.22, 0))
    trunk = _edge(p["trunk"] + 0.12 * np.square(v - 0.1) - a, soft) * _edge(v - shoulder, soft)
    neck = _edge(0.19 + 0.2 * np.square(np.maximum(v + 1.1, 0)) - a, soft) * _edge(-0.3 - v, soft)
    body = 1 - (1 - trunk) * (1 - neck)

    # Chest cavity: rho is 0 at the middle of the base and 1 at the chest wall; height is 0 at the base, 1 at the apex.
    height = np.maximum(0.38 - v, 0) / p["apex"]
    across = a / (p["chest"] * (1 + 0.08 * v))
    rho = np.sqrt(np.square(across) + height * height * np.sqrt(height))
    effusion = has[:, EFFUSION] & (right == (p["spot_side"] > 0))
    base = np.where(right, p["base_right"], p["base_left"])
    floor = base - p["dome"] * (1 - np.square((across - 0.45) / 0.55)) - effusion * p["fluid"] * (0.4 + 0.6 * across)
    above = _edge(floor - v, soft)
    cavity = _edge((1 - rho) * 0.6, soft) * above
    middle = _mediastinum(film, p, has[:, CARDIOMEGALY], soft)
    lung = cavity * (1 - middle)

    # Pneumothorax: the lung has drawn back from the wall, and its edge, the pleura, shows as a thin line.
    gap = p["gap_base"] + (p["gap_apex"] - p["gap_base"]) * np.minimum(height, 1)
    gap = gap + p["gap_wave"] * np.sin(9 * v + p["gap_phase"])
    open_side = has[:, PNEUMOTHORAX] & (right == (p["side"] > 0))
    beyond = (rho - 1 + gap) * 0.6
    air = _edge(beyond, soft) * open_side
    pleura = _line(beyond, _PLEURA, pixel) * open_side * p["pleura"]

    # Haze makes one lung darker than the other in either class: a dark lung is no pneumothorax by itself.
    depth = p["lung"] + p["haze"] * v + np.where(right, p["haze_side"], -p["haze_side"])
    spot = has[:, ATELECTASIS] | has[:, INFILTRATION]
    spot_off = np.hypot(np.where(p["spot_side"] > 0, u, -u) - p["spot_a"], v - p["spot_v"])
    opacity = 0.25 * spot * _edge(p["spot_radius"] - spot_off, 0.08)
    inside = lung * ((_markings(film, p, waves) + opacity) * (1 - air) + pleura - p["air"] * air - depth)

    cage = _edge((1.08 - rho) * 0.6, 0.04) * (1 - 0.7 * middle) * (0.3 + 0.7 * above)
    trachea = -0.10 * _edge(0.035 - np.abs(u), soft) * _edge(-0.25 - v, 0.06)
    breast = p["breast"] * _edge(0.27 - np.hypot(a - 0.38, v - p["breast_v"]), 0.05)
    bubble = np.minimum(p["bubble"], 0) * _edge(0.09 - np.hypot(u - 0.3, v - base - 0.1), 0.03) * right
    lead = np.maximum(p["lead"], 0) * _line(u - p["lead_u"] - p["lead_slope"] * v - 0.1 * np.sin(4 * v), 0.012, pixel)
    tissue = 0.62 + p["fat"] * a + 0.16 * (1 - cavity) * _edge(v - 0.2, 0.15) + 0.10 * middle
    bones = _bones(film, p, cage, soft)
    return np.asarray(body * (tissue + inside + bones + trachea + breast + bubble + lead), np.float32)


def _mediastinum(film: _Film, p: Parameters, cardiomegaly: NDArray[np.bool_], soft: float) -> Floats:
    """Return heart, great vessels and aortic knob, 0 to 1; the heart is an ellipse, its apex down and to the right."""
    u, v = film.u, film.v
    enlarged, normal = (low + (high - low) * p["heart_width"] for low, high in (_ENLARGED, _NORMAL))
    half = np.where(cardiomegaly, enlarged, normal) * p["chest"]
    cos, sin = np.cos(p["heart_tilt"]), np.sin(p["heart_tilt"])
    # Semi-axes that make the tilted ellipse as wide as the cardiothoracic ratio says.
    long = half / np.sqrt(np.square(cos) + np.square(p["heart_round"] * sin))
    short = long * p["heart_round"]
    heart_u = u - p["yaw"] - half * p["heart_left"]
    heart_v = v - (p["base_left"] - p["dome"] * 0.5) + p["heart_sink"] * short
    radius = np.hypot((cos * heart_u + sin * heart_v) / long, (cos * heart_v - sin * heart_u) / short)
    heart = _edge((1 - radius) * half, soft * 1.2)
    flare = np.square(np.clip(2 * v + 0.5, 0, 1))
    pedicle_u = u - p["yaw"] * 0.5 - flare * half * p["heart_left"] * 0.6
    pedicle = _edge(p["pedicle"] * (1 - 0.2 * v) + 0.45 * half * flare - np.abs(pedicle_u), soft * 1.5)
    knob = _edge(p["knob"] + 0.03 - np.hypot(u - p["pedicle"] - 0.01, v + 0.27), soft * 1.5)
    return np.asarray(1 - (1 - pedicle) * (1 - knob) * (1 - heart * p["heart_density"]))


def _markings(film: _Film, p: Parameters, waves: Floats) -> Floats:
    """Return vessels that fan out from the hilum, bent and broken up by the lung's texture."""
    texture = np.zeros_like(film.u)
    for i in range(0, 3 * _WAVES, 3):
        speed, heading, phase = 12 + 18 * waves[:, i], 2 * np.pi * waves[:, i + 1], 2 * np.pi * waves[:, i + 2]
        texture += np.sin(film.u * (speed * np.cos(heading)) + film.v * (speed * np.sin(heading)) + phase)
    hilum_a, hilum_v = film.a - p["pedicle"] - 0.02, film.v + 0.02
    reach = np.hypot(hilum_a, hilum_v)
    start = np.where(film.right, p["vessel_right"], p["vessel_left"])
    angle = np.arctan2(hilum_v, hilum_a) * 4 + start + 0.16 * texture
    bend = p["vessel_bend"] * reach
    fan = np.square(np.square(np.cos(angle + bend))) + np.square(np.square(np.cos(2.2 * angle - 1.5 * bend)))
    vessels = p["vessels"] * np.exp(-1.8 * reach) * (fan * np.minimum(4 * reach, 1) + np.exp(-np.square(8 * reach)))
    return np.asarray(vessels + p["texture"] * texture)


def _bones(film: _Film, p: Parameters, cage: Floats, soft: float) -> Floats:
    """Return spine, collar bones, shoulder blades, and back and front ribs, the ribs within the cage only."""
    u, v, a = film.u, film.v, film.a
    arch = v + p["rib_slope"] * np.square(a - 0.28) - 0.25 * a
    turn = 2 * np.pi / p["rib_pitch"]
    ribs = np.cos(turn * arch + p["rib_phase"]) + 0.5 * np.cos(turn * (v - 0.35 * a) + 2 * p["rib_phase"])
    collar = p["clavicle_v"] - p["clavicle_rise"] * (a - 0.1) + 0.05 * np.sin(7 * a)
    clavicle = _edge(0.03 - np.abs(v - collar), soft) * _edge(a - 0.08, soft) * _edge(0.68 - a, soft)
    scapula = _edge(a - p["scapula"] - 0.3 * (v + 0.3), soft) * _edge(0.35 - np.abs(v + 0.35), 0.08)
    spine = p["spine"] * _edge(0.07 - np.abs(u), soft) * (1 + 0.4 * np.sin(50 * v))
    return np.asarray(p["rib"] * ribs * cage + 0.16 * clavicle + p["scapula_density"] * scapula + spine)


def _expose(attenuation: Floats, grain: Floats, p: Parameters) -> Bytes:
    """Return films of attenuations: uint8 (n, size, size); ``grain`` is white noise of unit variance, of that shape."""
    curve = np.power(np.maximum(attenuation, 0), p["gamma"])
    # Automatic exposure: every film gets its brightness and contrast by chance, so neither tells the class.
    mean = curve.mean(axis=(1, 2), keepdims=True)
    spread = curve.std(axis=(1, 2), keepdims=True)
    film = p["brightness"] + p["contrast"] * (curve - mean) / spread
    # Quantum noise: blurred by the detector, and stronger where more quanta arrive, by the square root.
    blurred = grain + 0.5 * (np.roll(grain, 1, axis=1) + np.roll(grain, 1, axis=2))
    film = film + p["noise"] * np.sqrt(np.clip(film, 0.05, 1)) * blurred
    return np.asarray(np.clip(film, 0, 1) * 255 + 0.5, np.uint8)
