"""``studies import``."""

from __future__ import annotations

import json
from pathlib import Path

from helpers.commands import assert_one_line, run
from helpers.studies import Tell

from mobilenet_chest.sweep.storage import DEFAULT


def test_a_file_is_imported(folder: Path, tell: Tell) -> None:
    tell(DEFAULT, "tiny", [({"stage2.lr": 1e-4}, 0.9)])
    assert run("studies", "export", "--out", "out.json").exit_code == 0
    result = run("studies", "import", "out.json", "--storage", "sqlite:///other.db")
    assert (result.exit_code, result.stdout) == (0, "study tiny: imported, 1 trials\n")
    other = run("studies", "import", "out.json", "--prefix", "old-", "--json")
    assert json.loads(other.stdout) == {"studies": [{"study": "old-tiny", "done": "imported, 1 trials"}]}


def test_what_is_wrong_is_said_in_a_line(folder: Path) -> None:
    assert_one_line("studies", "import", "none.json", wants="no such file")
    Path("bad.json").write_text("{")
    assert_one_line("studies", "import", "bad.json", wants="not JSON")
