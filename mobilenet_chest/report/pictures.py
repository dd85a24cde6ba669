"""Validation images with the run's predictions: twenty at random, and the most confident mistakes."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.report.details import RunDetails
from mobilenet_chest.report.elements import Element, Paragraph, Picture, Pictures

COUNT = 20
"""Random images, in rows of five."""

MISTAKES = 10
"""Shown at most."""

SIDE = 128
"""Pixels of a picture in the page at most: larger ones are reduced, so that the page stays small."""

HOW = (
    "The prediction uses TTA and the run's threshold; the percentage is the probability of the predicted class. A "
    "solid green border and ✓ mark a right prediction, a dashed red border and ✗ a wrong one."
)


def random_predictions(run: RunDetails) -> list[Element]:
    """Return random validation images, the same ones as in the run's ``plots/val_predictions.png``."""
    count = len(run.labels)
    chosen = np.sort(np.random.default_rng(run.config.seed).permutation(count)[:COUNT])
    correct = int(run.correct[chosen].sum())
    text = f"{len(chosen)} random images of {count}; {correct} are predicted correctly. {HOW}"
    return [Paragraph(text), _pictures(run, chosen)]


def confident_mistakes(run: RunDetails) -> list[Element]:
    """Return the wrong predictions of the highest confidence, the most confident first."""
    wrong = np.flatnonzero(~run.correct)
    if not len(wrong):
        return [Paragraph(f"None of the {len(run.labels)} images is predicted wrongly.", "missing")]
    chosen = wrong[np.argsort(-run.confidence[wrong], kind="stable")][:MISTAKES]
    text = f"The {len(chosen)} most confident of {len(wrong)} wrong predictions on {len(run.labels)} images."
    return [Paragraph(text), _pictures(run, chosen)]


def _pictures(run: RunDetails, chosen: NDArray[np.intp]) -> Element:
    images = run.images(chosen)
    if isinstance(images, str):
        return Paragraph(f"No pictures: {images}.", "missing")
    pictures = []
    for index, image in zip(chosen, images, strict=True):
        truth, predicted = (run.classes[int(label)] for label in (run.labels[index], run.predicted[index]))
        prediction = f"{predicted}, {run.confidence[index]:.0%}"
        correct, row = bool(run.correct[index]), f"row {run.rows[index]}"
        pictures.append(Picture(_data_address(image), SIDE, correct, truth, prediction, row))
    return Pictures(pictures)


def _data_address(image: NDArray[np.uint8]) -> str:
    """Return the ``data:`` address of a small PNG of an image, uint8 (h, w) or (h, w, 3)."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
