"""Who plays: a checkpoint with its run's config and folder, the package's own agent, a script, or random actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pearl_lightning.agent import load_agent
from pearl_lightning.baselines import ScriptedAgent, UniformAgent
from pearl_lightning.commands.training import PearlParser
from pearl_lightning.envs.derk.env import DerkEnv
from pearl_lightning.envs.derk.opponents import OPPONENTS
from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.rollout import MetaAgent

SHIPPED = Path(__file__).parent.parent / "trained" / "derk.ckpt"
"""The package's own agent, played where no checkpoint is named; its environment is in the ``.yaml`` beside it."""
RANDOM = "random"
"""In place of a checkpoint: uniform legal actions."""
UNTRAINED = {RANDOM, *OPPONENTS}
"""Who plays without a checkpoint; all but ``RANDOM`` Derk's Gym only."""


@dataclass(frozen=True)
class Entrant:
    """Who plays.

    Args:
        name: What it is called: its run's folder, or the file where it lies in none; or one of ``UNTRAINED``.
        checkpoint: A ``.ckpt``; None for one of ``UNTRAINED``.
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
        if self.checkpoint is None and self.name == RANDOM:
            return UniformAgent(env.features, env.action_space)
        if self.checkpoint is None:
            if not isinstance(env, DerkEnv):
                raise ValueError(f"{self.name} plays Derk's Gym only, got a config of {type(env).__name__}")
            return ScriptedAgent(env.features, env.action_space, self.name)
        agent = load_agent(self.checkpoint)
        if (env.features, env.action_space) != (agent.observation_features, agent.action_space):
            raise ValueError(
                f"{self.checkpoint} is made for {agent.observation_features} observation features and "
                f"{agent.action_space}, but the env of its config has {env.features} and {env.action_space}"
            )
        return agent


def entrants(names: Sequence[str], configs: Sequence[str], overlay: Sequence[Path]) -> list[Entrant]:
    """Those of some names, the package's own agent where there are none.

    Who is untrained plays where the first of the others does.

    Args:
        names: Checkpoints, or some of ``UNTRAINED``.
        configs: Hold the environment; each run's own config where there are none.
        overlay: Configs that override the others.
    """
    given = [Path(config) for config in configs]
    names = names or [str(SHIPPED)]
    found = {name: entrant(Path(name), given, overlay) for name in names if name not in UNTRAINED}
    if not found and not given:
        raise ValueError(f"--config must name a config that holds data.init_args.env where {names[0]} plays alone")
    first = next(iter(found.values()), Entrant(names[0], None, (*given, *overlay), Path("runs") / names[0]))
    return [found.get(name) or replace(first, name=name, checkpoint=None) for name in names]


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
    if checkpoint.parent.name in ("checkpoints", "snapshots"):
        folder = checkpoint.parent.parent
        return folder.name, folder, folder / "config.yaml"
    return checkpoint.stem, checkpoint.parent, checkpoint.parent / "config.yaml"


def add_checkpoint_argument(parser: PearlParser) -> None:
    """A checkpoint of Derk's Gym as the command's first word."""
    parser.add_argument(
        "checkpoint",
        type=str,
        nargs="?",
        default=str(SHIPPED),
        help="A .ckpt of pearl fit on Derk's Gym; the agent that comes with the package when left out.",
    )
