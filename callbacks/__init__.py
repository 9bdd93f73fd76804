"""Lightning callbacks: collection, adaptation curves, replay checkpoints, the summary at the end."""

from pearl_lightning.callbacks.adaptation import AdaptationEvaluation
from pearl_lightning.callbacks.collector import EpisodeCollector
from pearl_lightning.callbacks.progress import UpdateProgress
from pearl_lightning.callbacks.replay_checkpoint import ReplayCheckpoint
from pearl_lightning.callbacks.summary import RunSummary

__all__ = ["AdaptationEvaluation", "EpisodeCollector", "ReplayCheckpoint", "RunSummary", "UpdateProgress"]
