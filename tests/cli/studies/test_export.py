"""``studies export``."""

from __future__ import annotations

import json
from pathlib import Path

from helpers.commands import assert_one_line, run
from helpers.studies import Tell

from mobilenet_chest.sweep.storage import DEFAULT


def test_a_study_is_written(folder: Path, tell: Tell) -> None:
    tell(DEFAULT, "tiny", [({"stage2.lr": 1e-4}, 0.9)])
    result = run("studies", "export", "--out", "out.json")
    assert (result.exit_code, result.stdout) == (0, "study tiny: 1 trials written to out.json\n")
    named = run("studies", "export", "tiny", "--out", "named.json", "--json")
    assert json.loads(named.stdout) == {"studies": [{"study": "tiny", "done": "1 trials written to named.json"}]}
    assert Path("out.json").read_bytes() == Path("named.json").read_bytes()


def test_what_is_wrong_is_said_in_a_line(folder: Path) -> None:
    assert_one_line("studies", "export", "tiny", "--out", "out.json", wants="no study 'tiny'")
    assert not Path("out.json").exists()
