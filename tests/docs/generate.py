"""Write the generated parts of README.md and of the manual: ``python tests/docs/generate.py [--outputs] [PAGE …]``.

Without ``--outputs`` that is the tables of fields and commands. With it, every console example of the pages runs as its
test runs it, and an output that has changed is written into its page; the slow pages take minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers import manual, reference

REWRITE = "MOBILENET_CHEST_REWRITE_PAGES"


def main() -> int:
    """Write what has changed; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outputs", action="store_true", help="run the console examples and write their outputs")
    parser.add_argument("pages", nargs="*", help="part of a page's name; all pages by default")
    arguments = parser.parse_args()
    chosen = [
        page for page in manual.pages()
        if not arguments.pages or any(part in manual.name(page) for part in arguments.pages)
    ]  # fmt: skip
    parts = reference.parts()
    for page in chosen:
        before = page.read_text(encoding="utf-8")
        after = manual.regenerated(before, parts)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"written: {manual.name(page)}")
    if not arguments.outputs:
        return 0
    tests = [
        f"tests/docs/test_examples.py::test_examples[{manual.name(page)}]"
        for page in chosen
        if manual.has_examples(page)
    ]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "", *tests], cwd=manual.ROOT, env=os.environ | {REWRITE: "1"}
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
