"""Runs of the MuJoCo families: ``python -m benchmarks.locomotion --families cheetah_vel``.

It trains what is missing with ``pearl fit``, evaluated in the protocol of the PEARL paper, and writes a CSV file per
run. ``--no-train`` only writes the files of the runs that exist. ``python -m benchmarks.pages`` puts them on the page.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.curve_runs import make_parser, update_curves
from benchmarks.pages.mujoco import GROUP
from benchmarks.published import FAMILIES


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the missing runs, and write the CSV files."""
    parser = make_parser(__doc__, FAMILIES)
    parser.add_argument("--reference", action="store_true", help="train the reference preset, the original PEARL")
    options, extra = parser.parse_known_args(arguments)
    variant, overlays = ("_reference", ["reference_locomotion"]) if options.reference else ("", [])
    families = [GROUP + family for family in options.families]
    update_curves(options, families, ["--evaluation.protocol", "pearl", *extra], variant, overlays)


if __name__ == "__main__":
    main()
