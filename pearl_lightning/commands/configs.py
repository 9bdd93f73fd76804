"""``pearl configs`` and ``pearl init``: list the ready-made configs, and copy one for editing."""

from __future__ import annotations

import re
from pathlib import Path

from pearl_lightning.cli import PlainParser
from pearl_lightning.commands.config_files import FOLDER, KINDS, close_names, comment, family_base, kind, ready_made

HEADINGS = {
    "Environment": "Environments, complete configs",
    "Overlay": "Overlays for an environment",
    "Family": "Task families, overlays for {base}",
    "Baseline": "Baselines, overlays that come last",
}
"""Heading of each of ``KINDS`` in the output of ``pearl configs``; families are grouped by their base config."""
HOW = """\
Later configs override earlier ones, in the order above:
  pearl fit --config derk --config bounties
To edit a copy and use it:
  pearl init bounties
  pearl fit --config derk --config bounties.yaml"""


def purpose(config: Path) -> str:
    """Return the purpose of a config: the first sentence of its comment, without its kind."""
    text = re.split(r"(?<=[\w)]\.) (?=[A-Z])", comment(config).partition(": ")[2])[0]
    return text[:1].upper() + text[1:]


def groups() -> dict[str, dict[str, Path]]:
    """Return the ready-made configs by heading and name, in the order in which they are combined."""
    found: dict[str, dict[str, Path]] = {}
    for each in KINDS:
        for name, file in ready_made().items():
            if kind(file) == each:
                found.setdefault(HEADINGS[each].format(base=family_base(file)), {})[name] = file
    return found


def run(arguments: list[str]) -> None:
    """Print the ready-made configs by group, and how to combine them."""
    PlainParser(
        prog="pearl configs",
        description="List the ready-made configs: environments, and overlays that change some of their settings.",
    ).parse_args(arguments)
    width = max(map(len, ready_made()))
    for heading, configs in groups().items():
        print("\n".join([f"{heading}:", *(f"  {name:{width}}  {purpose(file)}" for name, file in configs.items()), ""]))
    print(f"{HOW}\nThe files are in {FOLDER}")


def run_init(arguments: list[str]) -> None:
    """Copy a ready-made config for editing."""
    parser = PlainParser(
        prog="pearl init", description="Copy a ready-made config for editing. Existing files are not overwritten."
    )
    parser.add_argument("name", metavar="NAME", help="Name of a config as pearl configs lists it, such as derk.")
    parser.add_argument(
        "--to", type=Path, metavar="FILE", help="Path of the copy; by default the same name in the current folder."
    )
    options = parser.parse_args(arguments)
    configs = ready_made()
    found = [path for name, path in configs.items() if options.name in (name, name.rpartition("/")[2])]
    if len(found) != 1:
        close = ", ".join(close_names(options.name, list(configs)))
        raise ValueError(
            f"NAME must be a ready-made config in the list of pearl configs, got {options.name!r}"
            + (f": did you mean {close}?" if close else "")
        )
    config = found[0]
    copy = options.to or Path(config.name)
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        with copy.open("x", encoding="utf-8") as file:
            file.write(config.read_text(encoding="utf-8"))
    except FileExistsError as error:
        raise FileExistsError(f"{copy} already exists: give another file with --to") from error
    first = "" if kind(config) == "Environment" else "--config ENVIRONMENT "
    print(f"Wrote {copy}. Use it with pearl fit {first}--config {copy}")
