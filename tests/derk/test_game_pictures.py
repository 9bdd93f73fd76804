"""Pictures of the real game's page."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from pearl_lightning.derk.backends.game import GameBackend
from pearl_lightning.derk.tasks import DerkTask
from tests.derk.conftest import StartGame

TASK = DerkTask(home_loadouts=[["Pistol", None, None]] * 3, away_loadouts=[["Talons", None, None]] * 3)


@pytest.mark.game
def test_a_picture_of_every_step_shows_that_the_match_goes_on(start_game: StartGame) -> None:
    game, unseen = (
        start_game(arenas=1, turbo=False, pictures=pictures, start_timeout=240.0, step_timeout=120.0)
        for pictures in (True, False)
    )
    for each in (game, unseen):
        each.reset([TASK], seed=1)
    pictures = []
    walk = torch.zeros(2, 1, 3, 5)
    walk[..., 0] = 1.0
    for _ in range(3):
        observation, _, _ = game.step(walk)
        pictures.append(game.picture())
        assert torch.equal(unseen.step(walk)[0], observation)  # its window is smaller, which changes no match
    shown = [np.asarray(Image.open(io.BytesIO(picture)), dtype=float) for picture in pictures]
    assert shown[0].shape[0] > 200
    assert shown[0].std() > 10  # there is something to see
    for before, after in zip(shown, shown[1:], strict=False):
        assert 0 < np.abs(after - before).mean() < 60  # it moves, and it is the same arena


def test_pictures_are_of_every_tick_that_is_drawn() -> None:
    with pytest.raises(ValueError, match="turbo must be false if pictures are taken"):
        GameBackend(arenas=1, pictures=True)
