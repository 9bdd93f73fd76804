"""``pearl configs`` and ``pearl init``: the ready-made configs, and a copy of one to edit."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from pearl_lightning.cli import PlainParser

FOLDER = Path(__file__).parent.parent / "configs"
"""Where the ready-made configs lie."""
GROUPS = {
    "worlds": "Worlds, complete configs",
    "families": "Task families, overlays for derk",
    "baselines": "Baselines, overlays that are put last",
    "overlays": "Other overlays",
}
"""What ``pearl configs`` calls them: those in a folder by the folder's name, the others by what they are."""
HOW = """\
An overlay is put over a world; of several configs later ones override. A copy to edit, and its use:
  pearl init derk
  pearl init families/bounties
  pearl fit --config derk.yaml --config bounties.yaml"""


def ready_made() -> dict[str, Path]:
    """The configs that come with the package, by name: ``derk``, ``families/bounties``."""
    files = sorted(FOLDER.rglob("*.yaml"))
    return {file.relative_to(FOLDER).with_suffix("").as_posix(): file for file in files}


def purpose(config: Path) -> str:
    """What a config is for: the first sentence of the comment that it starts with."""
    with config.open() as file:
        comment = file.readline().removeprefix("#").strip()
    return re.split(r"(?<=[\w)]\.) (?=[A-Z])", comment)[0]


def run(arguments: list[str]) -> None:
    """Print the ready-made configs, group by group, and how they are put together."""
    PlainParser(
        prog="pearl configs",
        description="The ready-made configs: worlds, and overlays that change some of their settings.",
    ).parse_args(arguments)
    configs = ready_made()
    width = max(map(len, configs))
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name, file in configs.items():
        groups.setdefault(_group(name, file), []).append(f"  {name:{width}}  {purpose(file)}")
    for group, lines in groups.items():
        print("\n".join([f"{GROUPS.get(group, group)}:", *lines, ""]))
    print(f"{HOW}\nThe files themselves lie in {FOLDER}")


def run_init(arguments: list[str]) -> None:
    """Copy a ready-made config to where it can be edited."""
    parser = PlainParser(
        prog="pearl init", description="Copy a ready-made config, to be edited. Nothing is overwritten."
    )
    parser.add_argument("name", metavar="NAME", help="As pearl configs lists it, such as derk or families/bounties.")
    parser.add_argument(
        "--to", type=Path, metavar="FILE", help="The copy; by its own name in the current folder when left out."
    )
    options = parser.parse_args(arguments)
    configs = ready_made()
    if options.name not in configs:
        close = ", ".join(_close(options.name, list(configs)))
        raise ValueError(
            f"NAME must be a ready-made config as pearl configs lists them, got {options.name!r}"
            + (f": did you mean {close}?" if close else "")
        )
    config = configs[options.name]
    copy = options.to or Path(config.name)
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        with copy.open("x") as file:
            file.write(config.read_text())
    except FileExistsError as error:
        raise FileExistsError(f"{copy} is there already: name another file with --to") from error
    world = "" if _group(options.name, config) == "worlds" else "--config WORLD.yaml "
    print(f"written: {copy}; use it with pearl fit {world}--config {copy}")


def _group(name: str, config: Path) -> str:
    return name.rpartition("/")[0] or ("overlays" if purpose(config).startswith("Overlay") else "worlds")


def _close(given: str, names: list[str]) -> list[str]:
    """Names like the given one, as a whole or in their last part."""
    last = {name.rpartition("/")[2]: name for name in names}
    in_part = [last[part] for part in difflib.get_close_matches(Path(given).stem, last)]
    return list(dict.fromkeys(in_part + difflib.get_close_matches(given, names)))
