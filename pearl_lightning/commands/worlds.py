"""The world that a config names, and the tasks of it that a command asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pearl_lightning.commands.stored_tasks import check_tasks
from pearl_lightning.commands.training import PearlParser
from pearl_lightning.envs.meta_env import MetaEnv

FAMILIES = Path(__file__).parent.parent / "configs" / "families"
"""What ``--tasks FAMILY/SPLIT`` may name."""


def family_overlay(tasks: str) -> tuple[list[Path], str]:
    """The overlay of a family that ``FAMILY/SPLIT`` names, none for a run's own tasks; and the split."""
    family, slash, split_name = tasks.rpartition("/")
    if not slash or family.split("/")[0].isdecimal():  # a mixture numbers its families
        return [], tasks
    if family not in (families := sorted(path.stem for path in FAMILIES.glob("*.yaml"))):
        raise ValueError(f"tasks must name one of the families {', '.join(families)}, got {family!r}")
    return [FAMILIES / f"{family}.yaml"], split_name


def split(env: MetaEnv, name: str) -> range:
    """Indices of the env's tasks in a split.

    Raises:
        ValueError: There is no such split, or nothing in it.
    """
    splits = env.tasks.splits
    if not splits.get(name):
        filled = ", ".join(each for each, indices in splits.items() if indices)
        raise ValueError(f"tasks must be a split that holds any, one of {filled}, got {name!r}")
    return splits[name]


def env_settings(files: Sequence[Path]) -> dict[str, Any]:
    """What configs hold under ``data.init_args.env``, later ones over earlier ones, as YAML has it.

    Raises:
        FileNotFoundError: One is not there.
        ValueError: One is no YAML, or together they name no environment.
    """
    settings: dict[str, Any] = {}
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"there is no config file {file}: name one that holds data.init_args.env")
        try:
            content = yaml.safe_load(file.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
        try:
            settings = _merged(settings, content["data"]["init_args"].get("env", {}) if "data" in content else {})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{file} must hold an environment under data.init_args.env") from error
    if "class_path" not in settings:
        raise ValueError(
            f"{files[-1]} names no class_path under data.init_args.env: give the config it is an overlay for first"
        )
    return settings


def make_env(
    config: Path | Sequence[Path],
    backend: str | None = None,
    side: str | None = None,
    *,
    arenas: int | None = None,
    statistics: bool = False,
    pictures: bool = False,
) -> MetaEnv:
    """The environment (``data.init_args.env``) of a config: a run's ``config.yaml``, or one that ``pearl fit`` takes.

    Args:
        config: The file; of several, later ones override, as for ``pearl fit``.
        backend: Play Derk's Gym on this backend; with its default options, where the config names another.
        side: Play this team of Derk's Gym.
        arenas: So many arenas, in this process; those of the config, where it says, when left out.
        statistics: Let Derk's simulator count kills and damage.
        pictures: Let Derk's real game take a picture of every step.

    Raises:
        ValueError: The config is a run's, and its tasks are not those that the run stored.
    """
    files = [config] if isinstance(config, Path) else config
    settings = env_settings(files)
    if arenas is not None:
        settings = one_workers(settings)
    world = one_workers(settings).get("init_args", {})
    for option, value in (("backend", backend), ("side", side)):
        if value is not None and "backend" not in world:
            raise ValueError(f"--{option} {value} is for Derk's Gym, but the env of {files[-1]} names no backend")
    if backend is not None and world["backend"] != backend:
        world |= {"backend": backend, "backend_options": None, "count_events": False}
    if side is not None:
        world["side"] = side
    if arenas is not None:
        world["arenas"] = arenas
    if statistics and world.get("backend") == "simulator":
        world["count_events"] = True
    if pictures:
        world["backend_options"] = (world.get("backend_options") or {}) | {"pictures": True, "turbo": False}
    parser = PearlParser()
    parser.add_subclass_arguments(MetaEnv, "env", required=True)
    env: MetaEnv = parser.instantiate_classes(parser.parse_object({"env": settings})).env
    if len(files) == 1:  # an overlay may bring tasks of its own
        check_tasks(env.tasks, files[0].parent)
    return env


def one_workers(env: dict[str, Any]) -> dict[str, Any]:
    """The settings of an env; of one that is spread over workers (``RayEnv``), those of one worker's."""
    inner = env.get("init_args", {}).get("env")
    return one_workers(inner) if isinstance(inner, dict) else env


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Settings with others put over them; those of another class are replaced as a whole."""
    if over.get("class_path", base.get("class_path")) != base.get("class_path"):
        return over
    both = [name for name in base if isinstance(base[name], dict) and isinstance(over.get(name), dict)]
    return base | over | {name: _merged(base[name], over[name]) for name in both}


def add_config_argument(parser: PearlParser) -> None:
    """The config of the world, where it is not the run's own."""
    parser.add_argument(
        "--config",
        type=str,
        action="append",
        help="Holds data.init_args.env; the run's own config.yaml when left out. Given again, later ones override.",
    )


def add_tasks_argument(parser: PearlParser) -> None:
    """The split that is played."""
    parser.add_argument(
        "--tasks",
        type=str,
        default="test",
        help="SPLIT of the run's tasks (test when left out), or FAMILY/SPLIT; see pearl tasks.",
    )
