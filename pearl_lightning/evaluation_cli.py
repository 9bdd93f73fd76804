"""``pearl evaluate``: how a checkpoint adapts to the held-out tasks, as a table, JSON and a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml

from pearl_lightning.checkpoints import load_checkpoint
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.evaluation import evaluate_adaptation, format_side_by_side, format_table, write_json
from pearl_lightning.pearl import PEARL
from pearl_lightning.plots import plot_adaptation
from pearl_lightning.training_cli import PearlParser, quiet

BACKENDS = ("simulator", "game")
"""What ``--backend both`` compares."""


def run(arguments: list[str]) -> None:
    """Play the held-out tasks with a checkpoint; print the table, write it as JSON and draw it."""
    quiet()
    options = _parser().parse_args(arguments)
    checkpoint = Path(options.checkpoint)
    load_checkpoint(checkpoint)  # refuses what is none, in a readable way
    model = PEARL.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
    folder = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent
    config = Path(options.config or folder / "config.yaml")
    settings = {"checkpoint": str(checkpoint), "config": str(config), "seed": options.seed}
    settings |= {name: options[name] for name in ("tasks", "sampled", "wrong_context")}
    backends: tuple[str | None, ...] = BACKENDS if options.backend == "both" else (options.backend,)
    tables: dict[str, dict[str, Any]] = {}
    for backend in backends:
        env = make_env(config, backend)
        try:
            table = _evaluate(model, env, options)
        finally:
            env.close(raise_if_closed=False)
        print(format_table(table) if backend is None else f"In the {backend}:\n{format_table(table)}")
        stem = "-".join(filter(None, ["evaluation", checkpoint.stem, _file_name(options), backend]))
        json_path = _path(options.json, backend if len(backends) > 1 else None) or folder / f"{stem}.json"
        plot_path = _path(options.plot, backend if len(backends) > 1 else None) or folder / f"{stem}.png"
        write_json(settings | {"backend": backend} | table, json_path)
        plot_path.parent.mkdir(parents=True, exist_ok=True)
        plot_adaptation(table).savefig(plot_path)
        print(f"written: {json_path}, {plot_path}")
        tables[str(backend)] = table
    if len(tables) > 1:
        print(format_side_by_side(tables))


def _file_name(options: Any) -> str:
    """What tells one evaluation of a checkpoint from another; nothing for the usual one."""
    split_name = "" if options.tasks == "test" else options.tasks.replace("/", "-")
    return "-".join(filter(None, [split_name, "wrong_context" if options.wrong_context else ""]))


def _path(given: str | None, backend: str | None) -> Path | None:
    """The path that was given; with the backend's name in it where several write one each."""
    if given is None:
        return None
    path = Path(given)
    return path if backend is None else path.with_stem(f"{path.stem}-{backend}")


def _evaluate(model: PEARL, env: MetaEnv, options: Any) -> dict[str, Any]:
    if (env.features, env.action_space) != (model.observation_features, model.action_space):
        raise ValueError(
            f"{options.checkpoint} is made for {model.observation_features} observation features and "
            f"{model.action_space}, but the env of its config has {env.features} and {env.action_space}"
        )
    result = evaluate_adaptation(
        env,
        model,
        split(env, options.tasks),
        episodes=options.episodes,
        matches=options.matches,
        deterministic=not options.sampled,
        wrong_context=options.wrong_context,
        seed=options.seed,
    )
    return result.table()


def split(env: MetaEnv, name: str) -> range:
    """Indices of the env's tasks in a split.

    Raises:
        ValueError: There is no such split, or nothing in it.
    """
    splits = env.tasks.splits
    if not splits.get(name):
        raise ValueError(
            f"tasks must be a split that holds any, {', '.join(n for n in splits if splits[n])}, got {name!r}"
        )
    return splits[name]


def make_env(config: Path, backend: str | None = None) -> MetaEnv:
    """The environment under ``data.env`` of a config: a run's ``config.yaml``, or one that ``pearl fit`` takes.

    Args:
        config: The file.
        backend: Play Derk's Gym on this backend; with its default options, where the config names another.
    """
    if not config.is_file():
        raise FileNotFoundError(f"there is no config {config}: name one that holds data.env with --config")
    content = yaml.safe_load(config.read_text())
    try:
        settings: dict[str, Any] = content["data"]["env"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{config} must hold an environment under data.env") from error
    if backend is not None:
        if "backend" not in settings.get("init_args", {}):
            raise ValueError(f"--backend {backend} is for Derk's Gym, but the env of {config} names no backend")
        if settings["init_args"]["backend"] != backend:
            settings["init_args"] |= {"backend": backend, "backend_options": None}
    parser = PearlParser()
    parser.add_subclass_arguments(MetaEnv, "env", required=True)
    return parser.instantiate_classes(parser.parse_object({"env": settings})).env


def _parser() -> PearlParser:
    parser = PearlParser(prog="pearl evaluate", description="Adaptation of a checkpoint to the held-out tasks.")
    parser.add_argument("checkpoint", type=str, help="A .ckpt of pearl fit.")
    parser.add_argument("--config", type=str | None, help="Holds data.env; the run's own config.yaml when left out.")
    parser.add_argument("--episodes", type=int, default=3, help="Episodes per task, at least 1.")
    parser.add_argument("--matches", type=int, default=4, help="Independent adaptations per task, at least 1.")
    parser.add_argument("--sampled", action="store_true", help="Play samples of the policy rather than its mode.")
    parser.add_argument(
        "--tasks", type=str, default="test", help="The split: pearl tasks CONFIG tells which there are."
    )
    parser.add_argument(
        "--wrong_context", action="store_true", help="A control: each belief reads another task's episodes."
    )
    parser.add_argument("--seed", type=int, default=0, help="Fixes starts and draws.")
    parser.add_argument(
        "--backend",
        type=Literal["simulator", "game", "both"] | None,
        help="Play Derk's Gym on this backend, or on both to compare them; the config's when left out.",
    )
    parser.add_argument("--json", type=str | None, help="Where the table goes; the run's folder when left out.")
    parser.add_argument("--plot", type=str | None, help="Where the PNG goes; the run's folder when left out.")
    return parser
