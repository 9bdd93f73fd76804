"""Recorded matches as an interactive page, as pictures and as a video."""

from pearl_lightning.derk.watching.notebook import MatchView
from pearl_lightning.derk.watching.record import MatchRecord, record_adaptation

__all__ = ["MatchRecord", "MatchView", "record_adaptation"]
