"""Players of a command: a checkpoint of a run, the agent of this package, a scripted opponent, or random actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pearl_lightning.commands.config_files import find_config
from pearl_lightning.commands.parser import PearlParser
from pearl_lightning.commands.playing import evaluated_deterministically
from pearl_lightning.commands.stored_tasks import STORED_TASKS
from pearl_lightning.hub import PREFIX, shared_name
from pearl_lightning.registry import scripts
from pearl_lightning.trained import SHIPPED

if TYPE_CHECKING:
    from pearl_lightning.envs.meta_env import MetaEnv
    from pearl_lightning.experience.player import MetaAgent

RANDOM = "random"
"""Name of the player with uniform legal actions, in place of a checkpoint."""


def needs_no_checkpoint(name: str) -> bool:
    """Whether ``name`` is a player without training: ``RANDOM``, or a scripted player."""
    return name == RANDOM or scripts(name) is not None


@dataclass(frozen=True)
class Entrant:
    """A player of a command.

    Args:
        name: Name of the run's folder, of the file if it lies in no run, or of a player without training.
        checkpoint: A ``.ckpt``; None for a player without training.
        configs: Configs with the environment; later ones override earlier ones.
        folder: Folder for results.
        overlay: Configs of which only the environment is used; it overrides that of ``configs``.
    """

    name: str
    checkpoint: Path | None
    configs: tuple[Path, ...]
    folder: Path
    overlay: tuple[Path, ...] = ()

    @property
    def source(self) -> str:
        """Name for results: ``hf://OWNER/NAME@COMMIT``, the path of a checkpoint, or the name."""
        return self.name if self.checkpoint is None else shared_name(self.checkpoint) or str(self.checkpoint)

    def is_deterministic(self, asked: bool | None) -> bool:
        """Whether to play the policy's mode: the option ``asked`` if given, else as in the run's evaluations.

        The run's own config takes precedence over others, which are given for their environment. Players without
        training are never deterministic.
        """
        if self.checkpoint is None:
            return False
        own = run_of(self.checkpoint)[2]
        return evaluated_deterministically([own] if own.is_file() else self.configs) if asked is None else asked

    def agent(self, env: MetaEnv) -> MetaAgent:
        """Create the agent for an environment.

        Raises:
            ValueError: The agent was made for another environment.
        """
        from pearl_lightning.agents.agent import load_agent
        from pearl_lightning.agents.uniform import UniformAgent

        if self.checkpoint is None and self.name == RANDOM:
            return UniformAgent(env.features, env.action_space)
        if self.checkpoint is None:
            scripted: MetaAgent = scripts(self.name).make_agent(self.name, env)
            return scripted
        agent = load_agent(self.checkpoint)
        if (env.features, env.action_space) != (agent.observation_features, agent.action_space):
            raise ValueError(
                f"{self.checkpoint} was made for {agent.observation_features} observation features and "
                f"{agent.action_space}, but the env of its config has {env.features} and {env.action_space}"
            )
        return agent


def entrants(names: Sequence[str], configs: Sequence[str], overlay: Sequence[Path]) -> list[Entrant]:
    """Return the players with the given names; the agent of this package if there are no names.

    Players without training use the first checkpoint's environment.

    Args:
        names: Checkpoints or players without training.
        configs: Configs with the environment. Defaults to the config of each run.
        overlay: Configs that override the others.
    """
    given = [find_config(config) for config in configs]
    names = names or [str(SHIPPED)]
    found = {name: entrant(name, given, overlay) for name in names if not needs_no_checkpoint(name)}
    if not found and not given:
        raise ValueError(f"--config must be given if no checkpoint plays: {names[0]} needs an environment (data.env)")
    first = next(iter(found.values()), Entrant(names[0], None, tuple(given), Path("runs") / names[0], tuple(overlay)))
    return [found.get(name) or replace(first, name=name, checkpoint=None) for name in names]


def entrant(checkpoint: str, given: Sequence[Path], overlay: Sequence[Path]) -> Entrant:
    """Return the player of a checkpoint or of a run's last checkpoint; its config is the run's unless one is given."""
    from pearl_lightning.checkpoints import checkpoint_file

    path = checkpoint_file(checkpoint)
    name, folder, config = run_of(path)
    return Entrant(name, path, tuple(given or [config]), folder, tuple(overlay))


def run_of(checkpoint: Path) -> tuple[str, Path, Path]:
    """Name, folder and config of the run of a checkpoint."""
    if checkpoint == SHIPPED:  # results must not be written to the package
        return "shipped", Path("runs") / "shipped", SHIPPED.with_suffix(".yaml")
    if (shared := shared_name(checkpoint)) is not None:  # nor to the cache of downloads
        repo = Path(shared.removeprefix(PREFIX).partition("@")[0])
        return repo.name, Path("runs") / "hub" / repo, checkpoint.with_suffix(".yaml")
    if checkpoint.parent.name in ("checkpoints", "snapshots"):
        folder = checkpoint.parent.parent
        return folder.name, folder, _config_of(checkpoint, folder)
    return checkpoint.stem, checkpoint.parent, _config_of(checkpoint, checkpoint.parent)


def _config_of(checkpoint: Path, folder: Path) -> Path:
    """Config of the same name, else in the folder, else of the run that contains it, else of the run that it names."""
    runs = [above for above in folder.absolute().parents if (above / STORED_TASKS).is_file()]
    if not (folder / "config.yaml").is_file() and checkpoint.is_file():
        from pearl_lightning.checkpoints import load_checkpoint

        named = load_checkpoint(checkpoint).get("run_folder")
        runs += [Path(named)] if named else []
    configs = [run / "config.yaml" for run in (folder, *runs)]
    own = checkpoint.with_suffix(".yaml")  # beside an agent that pearl push has written
    return next((config for config in (own, *configs) if config.is_file()), configs[0])


def add_checkpoint_argument(parser: PearlParser) -> None:
    """Add a checkpoint as the command's positional argument; by default the agent of the package."""
    parser.add_argument(
        "checkpoint",
        type=str,
        nargs="?",
        default=str(SHIPPED),
        help="A .ckpt of pearl fit, a run's folder, or hf://OWNER/NAME; by default the agent of this package.",
    )
