"""Progress bar of a long task on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar(name: str, unit: str, enabled: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar with speed and remaining time on stderr until the end; nothing if stderr is not a terminal.

    Args:
        name: Name of the task.
        unit: Name of the counted unit, in the plural.
        enabled: Whether to show the bar.

    Yields:
        A function that takes the number of finished units and their total.
    """
    hidden = not (enabled and sys.stderr.isatty())
    with tqdm(desc=name, unit=f" {unit}", leave=False, dynamic_ncols=True, disable=hidden) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            bar.refresh()

        yield show
