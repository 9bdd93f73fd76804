"""Progress bar of a long task on a terminal or in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


def redraws_lines() -> bool:
    """Whether stderr is a terminal or the output of a notebook cell, where a carriage return starts the line again."""
    return sys.stderr.isatty() or type(sys.stderr).__module__ == "ipykernel.iostream"


@contextmanager
def progress_bar(name: str, unit: str, enabled: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar with speed and remaining time on stderr until the end.

    Nothing is shown if stderr is a file or a pipe.

    Args:
        name: Name of the task.
        unit: Name of the counted unit, in the plural.
        enabled: Whether to show the bar.

    Yields:
        A function that takes the number of finished units and their total.
    """
    hidden = not (enabled and redraws_lines())
    with tqdm(desc=name, unit=f" {unit}", leave=False, dynamic_ncols=True, disable=hidden) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            bar.refresh()

        yield show
