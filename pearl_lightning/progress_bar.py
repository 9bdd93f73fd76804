"""How far something long is, for people who watch a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar(name: str, unit: str, enabled: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr with rate and time left, gone at the end; nothing where stderr is no terminal.

    Args:
        name: What is under way.
        unit: What is counted.
        enabled: Whether to show it at all.

    Yields:
        What takes how many are done, of how many.
    """
    hidden = not (enabled and sys.stderr.isatty())
    with tqdm(desc=name, unit=f" {unit}", leave=False, dynamic_ncols=True, disable=hidden) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            bar.refresh()

        yield show
