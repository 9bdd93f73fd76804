"""Lightning callbacks for Derk's Gym: self-play, clips and the match page."""

from pearl_lightning.derk.callbacks.match_page import MatchPage
from pearl_lightning.derk.callbacks.match_recorder import MatchRecorder
from pearl_lightning.derk.callbacks.self_play import SelfPlayPool

__all__ = ["MatchPage", "MatchRecorder", "SelfPlayPool"]
