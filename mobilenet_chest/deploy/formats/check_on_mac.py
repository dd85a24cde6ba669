"""Compare the predictions of ``model.mlpackage`` with those of the network that it was made of: run it on a Mac.

It needs ``pip install coremltools pillow``, and nothing else of the project that wrote it.
"""

import json
import sys
from pathlib import Path

import numpy as np


def main() -> int:
    """Print the largest difference; return 0 where it is as small as float16 explains, else 1."""
    import coremltools
    from PIL import Image

    here = Path(__file__).parent
    check = json.loads((here / "check_on_mac.json").read_text(encoding="utf-8"))
    images = np.random.default_rng(0).integers(0, 256, check["shape"], dtype=np.uint8)
    model = coremltools.models.MLModel(str(here / "model.mlpackage"))
    largest = 0.0
    for image, expected in zip(images, check["probability"], strict=True):
        picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
        probability = float(np.ravel(model.predict({"images": picture})["probability"])[0])
        largest = max(largest, abs(probability - expected))
    passed = largest <= check["tolerance"]
    print(f"largest difference {largest:.1e} on {len(images)} images (allowed: {check['tolerance']:g})")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
