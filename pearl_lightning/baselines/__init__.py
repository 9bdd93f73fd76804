"""What adaptation is measured against, beside the soft actor-critics of ``configs/baselines``."""

from pearl_lightning.baselines.evolution_strategy import EvolutionStrategy
from pearl_lightning.baselines.ppo import PPO
from pearl_lightning.baselines.rollouts import RolloutDataModule
from pearl_lightning.baselines.scripted import ScriptedAgent
from pearl_lightning.baselines.uniform import UniformAgent

__all__ = ["PPO", "EvolutionStrategy", "RolloutDataModule", "ScriptedAgent", "UniformAgent"]
