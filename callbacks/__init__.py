"""Lightning callbacks: collection, adaptation curves, replay checkpoints."""

from pearl_lightning.callbacks.adaptation import AdaptationEvaluation
from pearl_lightning.callbacks.collector import EpisodeCollector
from pearl_lightning.callbacks.replay_checkpoint import ReplayCheckpoint

__all__ = ["AdaptationEvaluation", "EpisodeCollector", "ReplayCheckpoint"]
