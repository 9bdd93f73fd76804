"""``pearl evaluate``: how checkpoints adapt to the held-out tasks, as tables, JSON, CSV and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import yaml

from pearl_lightning.agent import load_agent
from pearl_lightning.baselines import UniformAgent
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.evaluation import (
    AdaptationResult,
    compare,
    evaluate_adaptation,
    format_comparison,
    format_side_by_side,
    format_table,
    write_json,
    write_matches,
)
from pearl_lightning.plots import plot_adaptation, plot_belief
from pearl_lightning.progress_bar import progress_bar
from pearl_lightning.rollout import MetaAgent
from pearl_lightning.training_cli import PearlParser, quiet

BACKENDS = ("simulator", "game")
"""What ``--backend both`` compares."""
FAMILIES = Path(__file__).parent / "configs" / "families"
"""What ``--tasks FAMILY/SPLIT`` may name."""
SIDES = ("home", "away")
"""What ``--side both`` does."""
SHIPPED = Path(__file__).parent / "trained" / "derk.ckpt"
"""The package's own agent, played where no checkpoint is named; its environment is in the ``.yaml`` beside it."""
RANDOM = "random"
"""In place of a checkpoint: uniform legal actions."""


@dataclass(frozen=True)
class Entrant:
    """Who plays.

    Args:
        name: What it is called: its run's folder, or the file where it lies in none.
        checkpoint: A ``.ckpt``; None for uniform legal actions.
        configs: Hold the environment; later ones override.
        folder: Where results are written.
    """

    name: str
    checkpoint: Path | None
    configs: tuple[Path, ...]
    folder: Path

    def agent(self, env: MetaEnv) -> MetaAgent:
        """What plays in an environment.

        Raises:
            ValueError: It is made for another one.
        """
        if self.checkpoint is None:
            return UniformAgent(env.features, env.action_space)
        agent = load_agent(self.checkpoint)
        if (env.features, env.action_space) != (agent.observation_features, agent.action_space):
            raise ValueError(
                f"{self.checkpoint} is made for {agent.observation_features} observation features and "
                f"{agent.action_space}, but the env of its config has {env.features} and {env.action_space}"
            )
        return agent


def run(arguments: list[str]) -> None:
    """Play held-out tasks with each checkpoint, on each backend and side; print, write and draw how it goes."""
    quiet()
    options = _parser().parse_args(arguments)
    backends = BACKENDS if options.backend == "both" else (options.backend,)
    sides = SIDES if options.side == "both" else (options.side,)
    overlay, split_name = family_overlay(options.tasks)
    entrants = _entrants(options, overlay)
    results: dict[str, AdaptationResult] = {}
    first_world: Any = None
    for entrant, backend, side in product(entrants, backends, sides):
        env = make_env(entrant.configs, backend, side, statistics=True)
        try:
            agent, indices = entrant.agent(env), split(env, split_name)
            world = [env.tasks[index] for index in indices], env.arenas, env.horizon
            if first_world is not None and world != first_world:
                raise ValueError(
                    f"{entrant.checkpoint} has other tasks, arenas or steps in its config than the first checkpoint"
                )
            first_world = world
            with progress_bar(_joined("evaluation", entrant.name, backend, side), "episodes") as progress:
                result = evaluate_adaptation(
                    env,
                    agent,
                    indices,
                    episodes=options.episodes,
                    matches=options.matches,
                    deterministic=not options.sampled,
                    wrong_context=options.wrong_context,
                    seed=options.seed,
                    progress=progress,
                )
            kinds = [env.tasks.kind(index) for index in indices]
        finally:
            env.close(raise_if_closed=False)
        place = _joined(backend, side)
        label = _joined(entrant.name if len(entrants) > 1 else None, place)
        label = label if label not in results else f"{label} {len(results)}"
        results[label] = result
        if label:
            print(f"{label}:")
        print(format_table(result.table()))
        settings = {"checkpoint": str(entrant.checkpoint or RANDOM), "config": str(entrant.configs[0])}
        settings |= {"split": options.tasks, "backend": backend, "side": side}
        settings |= {name: options[name] for name in ("sampled", "wrong_context", "seed")}
        stem = entrant.checkpoint.stem if entrant.checkpoint else RANDOM
        is_one = len(entrants) * len(backends) * len(sides) == 1
        paths = {
            kind: _path(options[kind], "" if is_one else label)
            or entrant.folder / f"{_joined('evaluation', stem, _variant(options), place)}.{kind}"
            for kind in ("json", "png", "csv")
        }
        _write(result, kinds, settings, paths)
    if len(results) > 1:
        print(format_side_by_side({label: result.table() for label, result in results.items()}))
        (first, reference), *others = results.items()
        for label, result in others:
            print(f"{label} over {first}, last episode: {format_comparison(compare(reference, result))}")


def _entrants(options: Any, overlay: Sequence[Path]) -> list[Entrant]:
    """Those that the command names. A random one plays where the first of the others does."""
    given = [Path(config) for config in options.config or []]
    names = options.checkpoints or [str(SHIPPED)]
    entrants = {name: entrant(Path(name), given, overlay) for name in names if name != RANDOM}
    if not entrants and not given:
        raise ValueError(f"--config must name a config that holds data.init_args.env where {RANDOM} plays alone")
    first = next(iter(entrants.values()), Entrant(RANDOM, None, (*given, *overlay), Path("runs") / RANDOM))
    return [entrants.get(name) or replace(first, name=RANDOM, checkpoint=None) for name in names]


def entrant(checkpoint: Path, given: Sequence[Path], overlay: Sequence[Path]) -> Entrant:
    """A checkpoint with its own config, unless another is given, and the folder of its run."""
    if not checkpoint.is_file():
        raise FileNotFoundError(f"there is no checkpoint {checkpoint}")
    name, folder, config = run_of(checkpoint)
    return Entrant(name, checkpoint, (*(given or [config]), *overlay), folder)


def run_of(checkpoint: Path) -> tuple[str, Path, Path]:
    """Name, folder and config of the run that a checkpoint is of."""
    if checkpoint == SHIPPED:  # the package is no place to write to
        return "shipped", Path("runs") / "shipped", SHIPPED.with_suffix(".yaml")
    if checkpoint.parent.name == "checkpoints":
        folder = checkpoint.parent.parent
        return folder.name, folder, folder / "config.yaml"
    return checkpoint.stem, checkpoint.parent, checkpoint.parent / "config.yaml"


def _write(result: AdaptationResult, kinds: list[str], settings: dict[str, Any], paths: dict[str, Path]) -> None:
    """The table as JSON, every match as CSV, and the figures."""
    table = result.table()
    write_json(settings | table, paths["json"])
    write_matches(result, paths["csv"])
    paths["png"].parent.mkdir(parents=True, exist_ok=True)
    plot_adaptation(table).savefig(paths["png"])
    if result.trace is not None:
        paths |= {"belief": paths["png"].with_stem(f"{paths['png'].stem}-belief")}
        plot_belief(result, kinds).savefig(paths["belief"])
    print(f"written: {', '.join(str(path) for path in paths.values())}")


def _path(given: str | None, label: str) -> Path | None:
    """Where an option says, with ``label`` in names that would clash."""
    path = Path(given) if given else None
    return path.with_stem(f"{path.stem}-{label.replace(' ', '-')}") if path and label else path


def _joined(*parts: str | None) -> str:
    return "-".join(part for part in parts if part)


def _variant(options: Any) -> str:
    """What tells one evaluation of a checkpoint from another; nothing for the usual one."""
    split_name = "" if options.tasks == "test" else options.tasks.replace("/", "-")
    return _joined(split_name, "wrong_context" if options.wrong_context else None)


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
    """
    settings: dict[str, Any] = {}
    files = [config] if isinstance(config, Path) else config
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"there is no config {file}: name one that holds data.init_args.env with --config")
        content = yaml.safe_load(file.read_text())
        try:
            settings = _merged(settings, content["data"]["init_args"]["env"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{file} must hold an environment under data.init_args.env") from error
    if "class_path" not in settings:
        raise ValueError(
            f"{files[-1]} names no class_path under data.init_args.env: give the config it is an overlay for first"
        )
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
    return parser.instantiate_classes(parser.parse_object({"env": settings})).env


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


def _parser() -> PearlParser:
    parser = PearlParser(prog="pearl evaluate", description="Adaptation of a checkpoint to the held-out tasks.")
    parser.add_argument(
        "checkpoints",
        type=str,
        nargs="*",
        help="A .ckpt of pearl fit, or several to compare on the same matches; random plays uniform legal actions. The "
        "agent that comes with the package when left out.",
    )
    parser.add_argument(
        "--config",
        type=str,
        action="append",
        help="Holds data.init_args.env; the run's own config.yaml when left out. Given again, later ones override.",
    )
    parser.add_argument("--episodes", type=int, default=3, help="Episodes per task, at least 1.")
    parser.add_argument("--matches", type=int, default=4, help="Independent adaptations per task, at least 1.")
    parser.add_argument("--sampled", action="store_true", help="Play samples of the policy rather than its mode.")
    parser.add_argument(
        "--tasks", type=str, default="test", help="SPLIT of the run's tasks, or FAMILY/SPLIT; see pearl tasks."
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
    parser.add_argument(
        "--side",
        type=Literal["home", "away", "both"] | None,
        help="Play this team of Derk's Gym, or both in turn; the config's when left out.",
    )
    parser.add_argument("--json", type=str | None, help="Where the table goes; the run's folder when left out.")
    parser.add_argument("--png", type=str | None, help="Where the PNG goes; the run's folder when left out.")
    parser.add_argument("--csv", type=str | None, help="Where every match goes; the run's folder when left out.")
    return parser
