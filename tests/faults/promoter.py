"""The script of a promoting process.

Its argument, in JSON, holds: ``run`` to promote, ``answer`` (file for the outcome), and ``options``: ``strike`` (a
step, and whether the process signals itself before or after it), ``signal`` (which signal), ``packed`` (a model folder
to copy instead of exporting), ``seconds`` (constants of the queue).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow import MlflowClient

from mobilenet_chest.errors import MobilenetChestError
from mobilenet_chest.registry import package, queue
from mobilenet_chest.registry import promote as promotion

given: dict[str, Any] = json.loads(sys.argv[1])
options: dict[str, Any] = given["options"]
answer = Path(given["answer"])


def strike_at(step: str, when: str, sign: int) -> None:
    """Signal this process at ``step``: a method of the client, a tag that it sets, or a function of promotion."""
    name, _, tag = step.partition(":")
    owner: Any = next(o for o in (MlflowClient, promotion, package) if hasattr(o, name))
    original = getattr(owner, name)

    def struck(*passed: Any, **more: Any) -> Any:
        right = not tag or tag in map(str, passed)
        if right and when == "before":
            strike(sign)
        done = original(*passed, **more)
        if right and when == "after":
            strike(sign)
        return done

    setattr(owner, name, struck)


def strike(sign: int) -> None:
    """Signal between two heartbeats: a process that is stopped while it writes one holds SQLite's lock."""
    with beating:
        os.kill(os.getpid(), sign)


def beat_alone(*passed: Any, **more: Any) -> Any:
    with beating:
        return set_tag(*passed, **more)


def predict_here(model: Path, images: Any) -> Any:
    return mlflow.pyfunc.load_model(str(model)).predict(images)["probability"].to_numpy()


with answer.with_suffix(".log").open("w") as log:
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
for constant, value in options.get("seconds", {}).items():
    setattr(queue, constant, value)
if "packed" in options:
    package.build = lambda *passed, **_: shutil.copytree(options["packed"], passed[-1])
package.predict_in_fresh_process = predict_here  # a dozen more processes, of which nothing is asked here
if "strike" in options:
    beating, set_tag = threading.RLock(), MlflowClient.set_model_version_tag
    MlflowClient.set_model_version_tag = beat_alone
    strike_at(*options["strike"], getattr(signal, options.get("signal", "SIGKILL")))
try:
    done = promotion.promote(given["run"], again=True)
    outcome = {"code": 0, "version": done.version, "reasons": done.reasons}
except MobilenetChestError as error:
    outcome = {"code": error.exit_code, "reasons": [str(error)]}
answer.write_text(json.dumps(outcome), encoding="utf-8")
