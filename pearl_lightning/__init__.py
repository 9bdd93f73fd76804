"""Meta-reinforcement learning with PEARL, as PyTorch Lightning components."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pearl_lightning.agents.agent import Agent, load_agent
    from pearl_lightning.agents.evolution_strategy import EvolutionStrategy
    from pearl_lightning.agents.pearl import PEARL
    from pearl_lightning.agents.ppo import PPO
    from pearl_lightning.agents.rl2 import RL2
    from pearl_lightning.agents.sac import HybridSAC, ValueSAC
    from pearl_lightning.envs.meta_env import MetaEnv
    from pearl_lightning.envs.point_robot import GoalTasks, PointRobot
    from pearl_lightning.envs.tasks import TaskDistribution
    from pearl_lightning.evaluation.protocol import evaluate_adaptation
    from pearl_lightning.evaluation.tables import format_table
    from pearl_lightning.experience.data import MetaBatchDataModule
    from pearl_lightning.experience.player import Player
    from pearl_lightning.experience.rollout import play_episode
    from pearl_lightning.experience.rollouts import RolloutDataModule
    from pearl_lightning.inference.belief import BeliefConfig
    from pearl_lightning.inference.context import ContextLayout
    from pearl_lightning.trained import shipped_agent

    __version__: str

_FOLDER = Path(__file__).parent
if not (_FOLDER / "callbacks").is_dir():  # in an archive without symbolic links, the folder is beside the package
    __path__.append(str(_FOLDER.parent))

# Threads that wait for each other give up their core after some microseconds. By default they hold it for milliseconds:
# if another program needs a core, updates with two threads then take several times as long (docs/results/speed.md).
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")  # otherwise TorchRL prints a line for every storage

_MODULES = {
    "Agent": "agents.agent",
    "BeliefConfig": "inference.belief",
    "ContextLayout": "inference.context",
    "EvolutionStrategy": "agents.evolution_strategy",
    "GoalTasks": "envs.point_robot",
    "HybridSAC": "agents.sac",
    "MetaBatchDataModule": "experience.data",
    "MetaEnv": "envs.meta_env",
    "PEARL": "agents.pearl",
    "PPO": "agents.ppo",
    "Player": "experience.player",
    "PointRobot": "envs.point_robot",
    "RL2": "agents.rl2",
    "RolloutDataModule": "experience.rollouts",
    "TaskDistribution": "envs.tasks",
    "ValueSAC": "agents.sac",
    "evaluate_adaptation": "evaluation.protocol",
    "format_table": "evaluation.tables",
    "load_agent": "agents.agent",
    "play_episode": "experience.rollout",
    "shipped_agent": "trained",
}

__all__ = [
    "PEARL",
    "PPO",
    "RL2",
    "Agent",
    "BeliefConfig",
    "ContextLayout",
    "EvolutionStrategy",
    "GoalTasks",
    "HybridSAC",
    "MetaBatchDataModule",
    "MetaEnv",
    "Player",
    "PointRobot",
    "RolloutDataModule",
    "TaskDistribution",
    "ValueSAC",
    "evaluate_adaptation",
    "format_table",
    "load_agent",
    "play_episode",
    "shipped_agent",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is used: torch and Lightning take seconds."""
    if name == "__version__":
        from importlib.metadata import version

        return version("pearl-lightning")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
