"""``pearl report``: report of one run, or comparison of several runs, as one HTML page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pearl_lightning.commands.parser import PearlParser, quiet
from pearl_lightning.report import RunRecord, make_page, read_run


def run(arguments: list[str]) -> None:
    """Read the folders of the runs and write the page."""
    quiet()
    options = _parser().parse_args(arguments)
    folders = [Path(folder) for folder in options.runs]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ValueError(f"runs must all be different, got {', '.join(options.runs)}")
    page = make_page(_named_apart([read_run(folder) for folder in folders]))
    out = Path(options.out) if options.out is not None else folders[0] / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    print(f"Wrote {out}")


def _named_apart(runs: list[RunRecord]) -> list[RunRecord]:
    """Name the runs by their folder, or by its path if the name is not unique."""
    names = [run.name for run in runs]
    return [run if names.count(run.name) == 1 else replace(run, name=str(run.folder.resolve())) for run in runs]


def _parser() -> PearlParser:
    parser = PearlParser(
        prog="pearl report",
        description="Write a report of one run, or a comparison of several runs, as one self-contained HTML page.",
    )
    parser.add_argument("runs", type=str, nargs="+", help="Folder of a run, or several folders to compare.")
    parser.add_argument(
        "--out", type=str | None, help="File for the page; by default report.html in the first run's folder."
    )
    return parser
