"""Epochs that last longer, so that there is time for something to happen to a sweep or a training.

Waiting takes no processor time, as a larger network or more epochs would.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def slowly(seconds: float) -> str:
    """Return code that makes each epoch of a process, and of all that it forks, last so much longer."""
    return f"""
import sys, time

sys.path.insert(0, {str(ROOT)!r})
from mobilenet_chest import two_stage

save_last = two_stage.ArtifactWriter.save_last

def slowly(*given):
    time.sleep({seconds})
    save_last(*given)

two_stage.ArtifactWriter.save_last = slowly
"""


def paced(line: list[str], folder: Path, seconds: float, more: str = "") -> list[str]:
    """Return the command line of ``sweep.py`` or ``train.py`` with a script in its place whose epochs last longer.

    Args:
        line: The command line.
        folder: For the script.
        seconds: By which each epoch lasts longer.
        more: Further code of the script, before the command begins.
    """
    python, program, *words = line
    script = folder / f"paced_{Path(program).name}"
    # workers that are spawned read this file as well
    begin = f'from mobilenet_chest.cli import main\nif __name__ == "__main__":\n    main({Path(program).stem!r})\n'
    script.write_text(f"{slowly(seconds)}{more}\n{begin}", encoding="utf-8")
    return [python, str(script), *words]
