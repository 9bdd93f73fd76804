"""Lightning callbacks: collection, evaluation, checkpoints with the replay, progress bar and run summary."""

from pearl_lightning.callbacks.adaptation import AdaptationEvaluation
from pearl_lightning.callbacks.episode_collector import EpisodeCollector
from pearl_lightning.callbacks.progress import UpdateProgress
from pearl_lightning.callbacks.replay_checkpoint import ReplayCheckpoint
from pearl_lightning.callbacks.rollout_collector import RolloutCollector
from pearl_lightning.callbacks.summary import RunSummary

__all__ = [
    "AdaptationEvaluation",
    "EpisodeCollector",
    "ReplayCheckpoint",
    "RolloutCollector",
    "RunSummary",
    "UpdateProgress",
]
