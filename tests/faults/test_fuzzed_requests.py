"""Damaged bodies of requests: each is answered or refused in one line, soon, and in bounded memory.

``MOBILENET_CHEST_FUZZ=10000 pytest -m slow tests/faults/test_fuzzed_requests.py`` decodes so many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.fuzzing import mutated, originals

FUZZ = "MOBILENET_CHEST_FUZZ"
BODIES = 2000
SECONDS, MEBIBYTES = 1.0, 256
"""CPU time of one body, and growth of the process's largest memory."""

SCRIPT = Path(__file__).with_name("fuzzed_requests.py")


def test_the_same_number_is_the_same_body() -> None:
    bodies = originals()
    assert {body.path for body in bodies} == {"/predict", "/invocations"}
    assert [mutated(bodies, number) for number in range(60)] == [mutated(bodies, number) for number in range(60)]
    assert sum(mutated(bodies, number) != bodies[number % len(bodies)] for number in range(60)) > 50


@pytest.mark.slow
def test_damaged_bodies_are_answered_or_refused_soon_and_in_bounded_memory(tmp_path: Path) -> None:
    bodies, place = int(os.environ.get(FUZZ, BODIES)), tmp_path / "number"
    path = os.pathsep.join([str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, str(SCRIPT), "0", str(bodies), str(place)], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": path})  # fmt: skip
    assert done.returncode == 0, f"body {place.read_text()}: {done.stderr[-2000:]}"
    found = json.loads(done.stdout)
    print(found)
    assert found["wrong"] == {}
    assert sum(found["results"].values()) == bodies
    assert min(found["results"][name] for name in ("images", "refused", "status 200", "status 400")) > 0
    assert found["slowest"][0] < SECONDS
    assert found["growth_mib"] < MEBIBYTES
