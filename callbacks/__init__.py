"""Lightning callbacks: collection, self-play, adaptation curves, clips, replay checkpoints, the summary at the end."""

from pearl_lightning.callbacks.adaptation import AdaptationEvaluation
from pearl_lightning.callbacks.episode_collector import EpisodeCollector
from pearl_lightning.callbacks.match_recorder import MatchRecorder
from pearl_lightning.callbacks.progress import UpdateProgress
from pearl_lightning.callbacks.replay_checkpoint import ReplayCheckpoint
from pearl_lightning.callbacks.rollout_collector import RolloutCollector
from pearl_lightning.callbacks.self_play import SelfPlayPool
from pearl_lightning.callbacks.summary import RunSummary

__all__ = [
    "AdaptationEvaluation",
    "EpisodeCollector",
    "MatchRecorder",
    "ReplayCheckpoint",
    "RolloutCollector",
    "RunSummary",
    "SelfPlayPool",
    "UpdateProgress",
]
