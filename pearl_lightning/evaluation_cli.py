"""``pearl evaluate``: how a checkpoint adapts to the held-out tasks, as a table, JSON and a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pearl_lightning.checkpoints import load_checkpoint
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.evaluation import evaluate_adaptation, format_table, write_json
from pearl_lightning.pearl import PEARL
from pearl_lightning.plots import plot_adaptation
from pearl_lightning.training_cli import PearlParser, quiet


def run(arguments: list[str]) -> None:
    """Play the held-out tasks with a checkpoint; print the table, write it as JSON and draw it."""
    quiet()
    options = _parser().parse_args(arguments)
    checkpoint = Path(options.checkpoint)
    load_checkpoint(checkpoint)  # refuses what is none, in a readable way
    model = PEARL.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
    folder = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent
    config = Path(options.config or folder / "config.yaml")
    env = make_env(config)
    try:
        if (env.features, env.action_space) != (model.observation_features, model.action_space):
            raise ValueError(
                f"{checkpoint} is made for {model.observation_features} observation features and "
                f"{model.action_space}, but the env of {config} has {env.features} and {env.action_space}"
            )
        result = evaluate_adaptation(
            env,
            model,
            env.tasks.test_indices,
            episodes=options.episodes,
            matches=options.matches,
            deterministic=not options.sampled,
            seed=options.seed,
        )
    finally:
        env.close(raise_if_closed=False)
    table = result.table()
    print(format_table(table))
    json_path = Path(options.json or folder / f"evaluation-{checkpoint.stem}.json")
    plot_path = Path(options.plot or folder / f"evaluation-{checkpoint.stem}.png")
    settings = {"checkpoint": str(checkpoint), "config": str(config), "sampled": options.sampled, "seed": options.seed}
    write_json(settings | table, json_path)
    plot_path.parent.mkdir(parents=True, exist_ok=True)
    plot_adaptation(table).savefig(plot_path)
    print(f"written: {json_path}, {plot_path}")


def make_env(config: Path) -> MetaEnv:
    """The environment under ``data.env`` of a config: a run's ``config.yaml``, or one that ``pearl fit`` takes."""
    if not config.is_file():
        raise FileNotFoundError(f"there is no config {config}: name one that holds data.env with --config")
    content = yaml.safe_load(config.read_text())
    try:
        settings: dict[str, Any] = content["data"]["env"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{config} must hold an environment under data.env") from error
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
    parser.add_argument("--seed", type=int, default=0, help="Fixes starts and draws.")
    parser.add_argument("--json", type=str | None, help="Where the table goes; the run's folder when left out.")
    parser.add_argument("--plot", type=str | None, help="Where the PNG goes; the run's folder when left out.")
    return parser
