"""Runs on Gymnasium and Meta-World tasks: ``python -m benchmarks.gymnasium_results --families gym_pendulum``.

It trains what is missing with ``pearl fit``, and writes a CSV file per run. ``--no-train`` only writes the files of the
runs that exist. ``python -m benchmarks.pages`` puts them on the page.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.curve_runs import make_parser, update_curves
from benchmarks.pages.gymnasium import FAMILIES


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the missing runs, and write the CSV files."""
    options, extra = make_parser(__doc__, FAMILIES).parse_known_args(arguments)
    update_curves(options, options.families, extra)


if __name__ == "__main__":
    main()
