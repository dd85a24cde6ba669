"""The measured process: it loads one file with its engine, says when the first answer is there, and times calls.

It imports the engine alone, so that start-up time and memory are those of a program that only predicts. Orders come as
lines of JSON on stdin: ``{"batch": 8, "calls": 5}``. Replies go to stdout, a line of JSON each.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from mobilenet_chest.deploy.benchmark.energy import EnergyCounter
from mobilenet_chest.deploy.formats import FORMATS


def main() -> None:
    """Serve orders until stdin ends; the arguments are format, file, threads and a ``.npy`` file of images."""
    format_name, path, threads, images_path = sys.argv[1:]
    # engines print what they like: stdout is kept for the replies
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(document: dict[str, Any]) -> None:
        replies.write(json.dumps(document) + "\n")
        replies.flush()

    images = np.load(images_path, allow_pickle=False)
    logits = FORMATS[format_name].load(Path(path), int(threads))
    logits(images[:1])
    reply({"started": True})
    energy = EnergyCounter()
    for line in sys.stdin:
        order = json.loads(line)
        part = images[: order["batch"]]
        seconds = []
        energy.restart()
        for _ in range(order["calls"]):
            before = time.perf_counter()
            logits(part)
            seconds.append(time.perf_counter() - before)
        reply({"seconds": seconds, "joules": energy.joules(), "peak_bytes": peak_bytes()})


def peak_bytes() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        # where there is no /proc; on Linux it would also count what the parent had used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
