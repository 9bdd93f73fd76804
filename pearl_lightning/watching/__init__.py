"""Matches to look at: what happened, as a page that plays it, as pictures, as a video."""

from pearl_lightning.watching.record import MatchRecord, record_adaptation

__all__ = ["MatchRecord", "record_adaptation"]
