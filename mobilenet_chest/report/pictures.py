"""Validation images with what the run said of them: twenty at random, and the mistakes it was surest of."""

from __future__ import annotations

import base64
import io

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mobilenet_chest.report.markup import missing, paragraph
from mobilenet_chest.report.material import Examined

COLUMNS, ROWS = 5, 4

MISTAKES = 10
"""Shown at most."""

SIDE = 128
"""Pixels of a picture in the page at most: larger ones are reduced, so that the page stays small."""


def grid(one: Examined) -> Markup:
    """A 4×5 grid of random validation images, the same ones as in the run's ``plots/val_predictions.png``."""
    count = len(one.labels)
    chosen = np.sort(np.random.default_rng(one.config.seed).permutation(count)[: COLUMNS * ROWS])
    right = int((one.right[chosen]).sum())
    said = f"{len(chosen)} of {count} at random; {right} of these are right."
    return paragraph(f"{said} {HOW}") + _shown(one, chosen)


def mistakes(one: Examined) -> Markup:
    """The wrong predictions of the highest confidence, the surest first."""
    wrong = np.flatnonzero(~one.right)
    if not len(wrong):
        return missing(f"None of the {len(one.labels)} images is predicted wrongly.")
    surest = wrong[np.argsort(-one.confidence[wrong], kind="stable")][:MISTAKES]
    said = f"The surest {len(surest)} of {len(wrong)} wrong predictions, of {len(one.labels)} images."
    return paragraph(said) + _shown(one, surest)


HOW = (
    "The prediction is the one with TTA at the run's threshold, confidence the probability of the predicted class. A "
    "solid green border and ✓ are right, a dashed red one and ✗ wrong."
)


def _shown(one: Examined, chosen: NDArray[np.intp]) -> Markup:
    images = one.images(chosen)
    if isinstance(images, str):
        return missing(f"No pictures: {images}.")
    items = []
    for index, image in zip(chosen, images, strict=True):
        right = bool(one.right[index])
        truth, predicted = (one.classes[int(label)] for label in (one.labels[index], one.predicted[index]))
        said = f"{predicted}, {one.confidence[index]:.0%}"
        verdict = "right" if right else "wrong"
        row = f"row {one.rows[index]}"
        described = f"Validation image, {row}. Truth: {truth}. Prediction: {said}: {verdict}."
        items.append(
            Markup(
                '<li class="{}"><img src="{}" alt="{}" width="{}" height="{}"><span>truth: {}</span>'
                '<span>{} {}</span><span class="row">{}</span></li>'
            ).format(
                verdict, _data_uri(image), described, SIDE, SIDE, truth, "✓" if right else "✗", said, row
            )
        )  # fmt: skip
    return Markup('<ul class="pictures">{}</ul>').format(Markup("").join(items))


def _data_uri(image: NDArray[np.uint8]) -> str:
    """A small PNG of an image (h, w) or (h, w, 3), inside its own address."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
