"""Figures of the documentation as PNG files that contain a digest of what they show.

A test compares the digest with the data. The bytes of a PNG depend on the version of matplotlib; the digest does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.pages.blocks import DATA

Plot = Callable[[Path], Figure]
"""Function of the data folder that draws a figure."""
ENTRY = "Description"
"""Entry of a PNG file that contains the digest."""
DPI = 120


def drawn(root: Path, plots: Mapping[str, Plot]) -> dict[Path, Figure]:
    """Draw every figure from the data.

    Args:
        root: Folder with ``docs``.
        plots: Function of each figure, by its path below ``docs``.
    """
    return {root / "docs" / path: plot(root / DATA) for path, plot in plots.items()}


def digest(figure: Figure) -> str:
    """Digest of the lines and texts of a figure; ends of intervals are lines, too."""
    content = "\n".join(text for axes in figure.axes for text in _content(axes))
    return hashlib.sha256(content.encode()).hexdigest()


def _content(axes: Axes) -> Iterator[str]:
    yield from (axes.get_title(), axes.get_title("left"), axes.get_xlabel(), axes.get_ylabel())
    yield from (text.get_text() for text in axes.texts)
    yield from (text for text in axes.get_legend_handles_labels()[1])
    for line in axes.lines:
        points = np.asarray(line.get_xydata(), dtype=np.float64)
        yield " ".join(f"{value:.6g}" for value in points.flat)


def written_digest(path: Path) -> str:
    """Return the digest in a PNG file; empty if there is no such file, or no digest in it."""
    if not path.is_file():
        return ""
    with Image.open(path) as image:
        return str(image.info.get(ENTRY, ""))


def write(figure: Figure, path: Path) -> bool:
    """Write a figure, unless the file already shows the same; return whether it was written."""
    if written_digest(path) == digest(figure):
        return False
    figure.savefig(path, dpi=DPI, metadata={"Software": None, ENTRY: digest(figure)})
    return True
