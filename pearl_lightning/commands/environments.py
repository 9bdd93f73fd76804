"""The environment of a config, and the tasks that a command plays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pearl_lightning.commands.config_files import FOLDER
from pearl_lightning.commands.parser import PearlParser
from pearl_lightning.commands.stored_tasks import check_tasks

if TYPE_CHECKING:
    from pearl_lightning.envs.meta_env import MetaEnv
    from pearl_lightning.envs.tasks import TaskDistribution

FAMILIES = FOLDER / "families"
"""Folder of the families for ``--tasks FAMILY/SPLIT``."""


def family_overlay(tasks: str) -> tuple[list[Path], str]:
    """Return the overlay of the family in ``FAMILY/SPLIT`` (none for ``SPLIT`` alone), and the name of the split."""
    family, slash, split_name = tasks.rpartition("/")
    if not slash:
        return [], tasks
    if family not in (families := sorted(path.stem for path in FAMILIES.glob("*.yaml"))):
        raise ValueError(f"tasks must name one of the families {', '.join(families)}, got {family!r}")
    return [FAMILIES / f"{family}.yaml"], split_name


def split(env: MetaEnv, name: str) -> range:
    """Indices of the environment's tasks in a split.

    Raises:
        ValueError: The split does not exist or is empty.
    """
    splits = env.tasks.splits
    if not splits.get(name):
        filled = ", ".join(each for each, indices in splits.items() if indices)
        raise ValueError(f"tasks must be a split that is not empty, one of {filled}, got {name!r}")
    return splits[name]


def env_settings(files: Sequence[Path], overlay: Sequence[Path] = ()) -> dict[str, Any]:
    """Return the settings of the environment (``data.env``) in configs, with ``class_path`` and ``init_args``.

    Args:
        files: Config files, as for ``pearl fit``.
        overlay: Configs of which only the environment is used.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A config is not valid, or they contain no environment.
    """
    from pearl_lightning.commands.fit_config import read_configs

    return read_configs(files, overlay).data.init_args.env.as_dict()


def make_env(
    config: Path | Sequence[Path],
    backend: str | None = None,
    side: str | None = None,
    *,
    overlay: Sequence[Path] = (),
    arenas: int | None = None,
    statistics: bool = False,
    pictures: bool = False,
) -> MetaEnv:
    """Create the environment (``data.env``) of a config.

    Args:
        config: Config file or files, as for ``pearl fit``, or a run's ``config.yaml``. Later files override earlier
            ones.
        backend: Backend for Derk's Gym; the config's by default. A backend that differs from the config's has default
            options.
        side: Team of Derk's Gym to play; the config's by default.
        overlay: Configs of which only the environment is used; it overrides that of ``config``.
        arenas: Number of arenas, all in this process. By default, the config defines their number and place.
        statistics: Whether Derk's simulator counts kills and damage.
        pictures: Whether pictures will be drawn. Derk's real game and Gymnasium's environments must be created for it.

    Raises:
        ValueError: The tasks differ from those that the run of the config has stored, or an option requires Derk's Gym.
    """
    files = [config] if isinstance(config, Path) else config
    settings = env_settings(files, overlay)
    if arenas is not None:
        settings = one_workers(settings)
    env_arguments = one_workers(settings).get("init_args", {})
    for option, value in (("backend", backend), ("side", side)):
        if value is not None and "backend" not in env_arguments:
            raise ValueError(f"--{option} {value} requires Derk's Gym, but the env of {files[-1]} has no backend")
    if backend is not None and env_arguments["backend"] != backend:
        env_arguments |= {"backend": backend, "backend_options": None, "count_events": False}
    if side is not None:
        env_arguments["side"] = side
    if arenas is not None:
        env_arguments["arenas"] = arenas
    if arenas is not None and "vectorization" in env_arguments:
        env_arguments |= {"vectorization": "sync", "workers": None}
    if statistics and env_arguments.get("backend") == "simulator":
        env_arguments["count_events"] = True
    if pictures and env_arguments.get("backend") == "game":
        options = env_arguments.get("backend_options") or {}
        env_arguments["backend_options"] = options | {"pictures": True, "turbo": False}
    if pictures and settings["class_path"].endswith(".GymnasiumEnv"):
        env_arguments["kwargs"] = (env_arguments.get("kwargs") or {}) | {"render_mode": "rgb_array"}
    from pearl_lightning.envs.meta_env import MetaEnv

    env: MetaEnv = _instance(MetaEnv, "env", settings)
    if len(files) == 1 and not overlay:  # an overlay may change the tasks
        check_tasks(env.tasks, files[0].parent)
    return env


def make_tasks(files: Sequence[Path]) -> TaskDistribution[Any]:
    """Create the tasks of a config. The environment is created only if the config does not name the class of its tasks.

    Args:
        files: Config files, as for ``make_env``.

    Raises:
        ValueError: The tasks differ from those that the run of the config has stored.
    """
    from pearl_lightning.envs.tasks import TaskDistribution

    settings = one_workers(env_settings(files)).get("init_args", {}).get("tasks")
    if not isinstance(settings, dict) or "." not in settings.get("class_path", ""):
        return make_env(files).tasks
    tasks: TaskDistribution[Any] = _instance(TaskDistribution, "tasks", settings)
    if len(files) == 1:
        check_tasks(tasks, files[0].parent)
    return tasks


def _instance(kind: type, name: str, settings: dict[str, Any]) -> Any:
    """Create an instance of a subclass of ``kind`` from the settings under ``name`` in a config."""
    parser = PearlParser()
    parser.add_subclass_arguments(kind, name, required=True)
    return parser.instantiate_classes(parser.parse_object({name: settings}))[name]


def one_workers(env: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an environment; for ``RayEnv``, those of the environment of one worker."""
    inner = env.get("init_args", {}).get("env")
    return one_workers(inner) if isinstance(inner, dict) else env


def add_config_argument(parser: PearlParser) -> None:
    """Add the option for the config of the environment, if it is not the run's."""
    parser.add_argument(
        "--config",
        type=str,
        action="append",
        help="Config with the environment (data.env): a file or the name of a ready-made config; by default the run's "
        "config.yaml. Can be repeated; later configs override earlier ones.",
    )


def add_tasks_argument(parser: PearlParser) -> None:
    """Add the option for the split to play."""
    parser.add_argument(
        "--tasks",
        type=str,
        default="test",
        help="SPLIT of the run's tasks (by default test), or FAMILY/SPLIT; see pearl tasks.",
    )
