"""The registered model that answers now: a version that an alias points to, and the one that takes its place."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from numpy.typing import NDArray

from mobilenet_chest.data.importing.preparation import Preparation
from mobilenet_chest.errors import MobilenetChestError
from mobilenet_chest.evaluation.calibration import apply_temperature
from mobilenet_chest.registry import digests
from mobilenet_chest.registry.package import check_loads, load_registered
from mobilenet_chest.registry.sealed_rows import SealedRows
from mobilenet_chest.tracking.store import connect, reason

logger = logging.getLogger(__name__)

FOLLOW_SECONDS = 2.0
"""How often the registry is asked where the alias points."""


Computed = tuple[NDArray[np.float64], NDArray[np.int64], list[NDArray[np.float32]] | None]
Compute = Callable[[NDArray[np.uint8], bool], Computed]


class Answer(NamedTuple):
    """The answer for one image.

    Attributes:
        probability: Of class 1, mean of the image and its mirror image.
        label: 0 or 1.
        label_name: Name of that class.
        version: Of the model that answered.
        calibrated: The probability after division of its logit by the temperature; ``None`` where a version does not
            know its temperature.
        abstains: Whether the probability lies where neither answer is safe enough, by the run's operating points.
        threshold: Smallest probability with label 1.
        features: float32 (f,), what the network's head was given, where it was asked for and the version tells it.
    """

    probability: float
    label: int
    label_name: str
    version: str
    calibrated: float | None = None
    abstains: bool = False
    threshold: float = math.nan
    features: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A loaded version of a registered model.

    Attributes:
        name: Of the registered model.
        version: Its number.
        run_id: Run that it was made of.
        channels: 1 or 3.
        image_size: Height and width, in pixels, to which it resizes images.
        preparation: What was done to the pictures that it was trained on, where that is known.
        classes: Names of class 0 and class 1.
        threshold: Smallest probability at which an image is class 1.
        temperature: What logits are divided by to be calibrated; ``None`` in versions before it was stored.
        abstains: Smallest probability at which the model abstains, and the next at which it does not; ``None`` where it
            never does.
        description: The model card.
        compute: Returns probability (n,) and label (n,) of n uint8 images, and with True, where the version can, what
            the network's head was given for each.
        sealed: Looks for rows of the run's sealed test split.
    """

    name: str
    version: str
    run_id: str
    channels: int
    image_size: int
    preparation: Preparation | None
    classes: tuple[str, str]
    threshold: float
    temperature: float | None
    abstains: tuple[float, float] | None
    description: str
    compute: Compute
    sealed: SealedRows

    def predict(self, images: NDArray[np.uint8], features: bool = False) -> list[Answer]:
        """Return the answer for each of uint8 images (n, h, w), or (n, h, w, 3) for three channels.

        Args:
            images: The images.
            features: Whether the answers have them.
        """
        probability, labels, of_heads = self.compute(images, features)
        calibrated = [None] * len(labels) if self.temperature is None else (
            apply_temperature(probability, self.temperature).tolist()
        )  # fmt: skip
        low, high = self.abstains or (math.inf, math.inf)
        abstains = ((probability >= low) & (probability < high)).tolist()
        heads: Sequence[NDArray[np.float32] | None] = of_heads or [None] * len(labels)
        columns = probability.tolist(), labels.tolist(), calibrated, abstains, heads
        return [
            Answer(p, label, self.classes[label], self.version, after, unsure, self.threshold, of_head)
            for p, label, after, unsure, of_head in zip(*columns, strict=True)
        ]

    def check(self, images: Sequence[NDArray[np.uint8]]) -> None:
        """Look for rows of the run's sealed test split among the images of a request, before they are predicted.

        Not in :meth:`predict`, whose images are of several requests: only the one with such a row is to fail.

        Raises:
            TrackingError: There is one, and the access cannot be put on record.
        """
        for image in images:
            self.sealed.check(image[None])

    def about(self) -> dict[str, Any]:
        """Return what ``/version`` says, without the card."""
        preparation = None if self.preparation is None else self.preparation.as_dict()
        return {"name": self.name, "version": self.version, "run_id": self.run_id, "classes": self.classes,
                "threshold": self.threshold, "temperature": self.temperature, "abstains": self.abstains,
                "channels": self.channels, "preparation": preparation}  # fmt: skip


def load(client: MlflowClient, version: ModelVersion) -> LiveModel:
    """Load a version whose files are those that were promoted, and see that it predicts.

    Raises:
        TrackingError: It was changed, cannot be loaded, or gives no probability.
    """
    check_loads(client, version)
    model, channels, preparation = load_registered(f"models:/{version.name}/{version.version}")
    # without what MLflow does around it for tables of any kind, which takes longer than a small network
    inner = model.unwrap_python_model()
    live = LiveModel(
        name=str(version.name),
        version=str(version.version),
        run_id=str(version.run_id),
        channels=channels,
        image_size=int(inner.settings["image_size"]),
        preparation=preparation,
        classes=tuple(inner.settings["classes"]),
        threshold=float(inner.settings["threshold"]),
        temperature=inner.settings.get("temperature"),
        abstains=_range(inner.settings.get("abstains")),
        description=version.description or "",
        compute=getattr(inner, "arrays", None) or _by_table(inner),
        sealed=SealedRows(client, version),
    )
    # the first prediction takes longest
    size = 64 if preparation is None else preparation.size
    live.compute(np.zeros((1, size, size) if channels == 1 else (1, size, size, 3), np.uint8), False)
    return live


def _by_table(inner: Any) -> Compute:
    """Return what computes with a version that was promoted before its code could without a table."""

    def compute(images: NDArray[np.uint8], features: bool) -> Computed:
        table = inner.predict(None, images, {"features": True} if features else None)
        of_heads = table["features"].tolist() if "features" in table else None
        return table["probability"].to_numpy(), table["label"].to_numpy(), of_heads

    return compute


def _range(stored: list[float] | None) -> tuple[float, float] | None:
    return None if stored is None else (stored[0], stored[1])


class Follower:
    """Holds the model that an alias, or a number, points to, and replaces it when the alias has moved.

    A version that cannot be loaded is not taken: the model before it goes on answering. So it does while the registry
    is away.

    Args:
        model_uri: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.
        on_change: Called with each model that was taken, from the second on.
    """

    def __init__(self, model_uri: str, on_change: Callable[[LiveModel], object] = lambda model: None) -> None:
        self._uri, self._on_change = model_uri, on_change
        self._client = connect(to_read=True)
        self.model = load(self._client, digests.find_version(self._client, model_uri))
        self.problem: str | None = None
        """Why the alias is not followed at the moment."""
        self._refused: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()

    def look(self) -> None:
        """Ask the registry once, and load the version that it names if it is another."""
        number = None
        try:
            version = digests.find_version(self._client, self._uri)
            number = str(version.version)
            if number in (self.model.version, self._refused):
                if number == self.model.version:
                    self._refused = self.problem = None
                return
            self.model = load(self._client, version)
        except Exception as error:  # the store away, a damaged version, a database's own error: the old model stays
            problem = str(error) if isinstance(error, MobilenetChestError) else reason(error)
            if problem != self.problem:
                logger.warning("version %s goes on answering: %s", self.model.version, problem)
            self.problem, self._refused = problem, number
            return
        self.problem = self._refused = None
        logger.info("version %s of '%s' answers now", self.model.version, self.model.name)
        self._on_change(self.model)

    def _run(self) -> None:
        while not self._stop.wait(FOLLOW_SECONDS):
            self.look()
