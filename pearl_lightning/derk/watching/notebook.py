"""A match page inside a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pearl_lightning.derk.watching.page import match_page
from pearl_lightning.derk.watching.record import MatchRecord

_HEIGHT = 940  # pixels; shows the controls in a notebook that is 1000 pixels wide


class MatchView:
    """The page of ``match_page`` for notebooks. A cell whose last line is this object shows the page.

    Args:
        records: One record per episode.
        title: Title of the page.
        agent: Name of the agent that plays the learner's team.

    Attributes:
        page: The page as HTML, for example to write it to a file.

    Raises:
        ValueError: There are no records.
    """

    def __init__(self, records: Sequence[MatchRecord], title: str, agent: str) -> None:
        self.title = title
        self.page = match_page(records, title, agent)

    def __repr__(self) -> str:
        return f"MatchView({self.title!r})"  # notebooks store it beside the page

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its style and scripts do not reach the notebook."""
        frame = f'sandbox="allow-scripts" style="width: 100%; height: {_HEIGHT}px; border: 0"'
        return f'<iframe title="{escape(self.title)}" {frame} srcdoc="{escape(self.page)}"></iframe>'
