"""The script of a process that opens a test split, in a child of a fork server that has imported the package already.

The global ``given`` holds: ``folder`` to work in, ``environment``, ``run`` to open the split for, ``again``, ``answer``
(file for what came of it), ``at`` (time at which all of them begin), and ``dies``: whether it evaluates the run and is
killed (SIGKILL) once the rows have been read, instead of writing entries alone.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from mobilenet_chest.errors import MobilenetChestError
from mobilenet_chest.selection import evaluate, ledger

given: dict[str, Any] = globals()["given"]
answer = Path(given["answer"])

os.environ.update(given["environment"])
os.chdir(given["folder"])
with answer.with_suffix(".log").open("w") as log:
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
if given["dies"]:
    evaluate.predict = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    evaluate.evaluate(given["run"], "test", given["again"])
client = MlflowClient()
run = client.get_run(given["run"])
time.sleep(max(0.0, given["at"] - time.time()))
try:
    record = ledger.record_access(client, run, f"process {os.getpid()}", given["again"])
    record.log_result({"test_auc": float(os.getpid())})
    outcome = {"code": 0}
except MobilenetChestError as error:
    outcome = {"code": error.exit_code}
answer.write_text(json.dumps(outcome), encoding="utf-8")
