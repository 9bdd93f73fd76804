"""Rebuild every table and figure that shows results: ``python -m benchmarks.pages``.

It reads the files in ``docs/results/data``, trains nothing, and takes a few seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.pages import blocks, figures
from benchmarks.pages.registry import BUILDERS, FIGURES


def main(arguments: Sequence[str] | None = None) -> None:
    """Rewrite the pages and figures that have changed, and print their names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="folder with README.md and docs")
    root = parser.parse_args(arguments).root
    for path, text in blocks.rebuilt(root, BUILDERS).items():
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
            print(f"Wrote {path}")
    for path, figure in figures.drawn(root, FIGURES).items():
        if figures.write(figure, path):
            print(f"Wrote {path}")


if __name__ == "__main__":
    main()
