"""The Bounties family: what pays."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pearl_lightning.envs.derk.interface import BOUNTY_KEYS, DEFAULT_BOUNTIES, ITEMS_BY_SLOT
from pearl_lightning.envs.derk.tasks.drawing import check_counts, draw_loadouts, split_generator
from pearl_lightning.envs.derk.tasks.task import DerkTask, DerkTasks

GOALS: dict[str, dict[str, float]] = {
    "units": {"damageEnemyUnit": 0.01, "killEnemyUnit": 1.0},
    "statue": {"damageEnemyStatue": 0.02, "killEnemyStatue": 2.0},
    "ground": {
        "timeSpentAwayTerritory": 0.3,
        "timeSpentAwayBase": 0.3,
        "timeSpentHomeTerritory": -0.3,
        "timeSpentHomeBase": -0.3,
    },
    "healing": {"healTeammate1": 0.02, "healTeammate2": 0.02, "healFriendlyStatue": 0.02},
}
"""Bounties that belong together; a goal's weight is in [-1, 1], and what pays with one sign costs with the other.

The units make a goal alone worth about as much as another: 2.5 to 5 for a team that plays for it well."""

_CORNER = 0.9
"""Share of a goal in a mixture from which on it counts as that goal alone."""

_CORNER_LOADOUTS = 4
"""Loadouts that each corner is played with."""


class BountyTasks(DerkTasks):
    """The *Bounties* family: what pays is hidden, and what pays in one task costs in another.

    A task weighs four goals: harm the enemies, harm their statue, stand in their half, heal. The weights are a point on
    the unit sphere, so that the stakes are alike. Near its corners, where a single goal counts, no train task lies.
    Validation tasks are new points between the corners. There are two test splits: ``mixtures``, other such points,
    and ``corners``, the eight of them with four loadouts each. The other team is paid by the game's own bounties.

    Args:
        train_tasks: Tasks to train on, at least 1.
        validation_tasks: Held-out mixtures to play while training, at least 0.
        test_tasks: Held-out mixtures to play at the end, at least 0.
        seed: Fixes all splits; at least 0.
        opponent: Who plays the other team, a name that ``pearl_lightning.envs.derk.opponents.make_opponent`` knows.

    Raises:
        ValueError: A setting outside its range.
    """

    def __init__(
        self,
        *,
        train_tasks: int = 256,
        validation_tasks: int = 56,
        test_tasks: int = 56,
        seed: int = 0,
        opponent: str = "random",
    ) -> None:
        check_counts(train_tasks, validation_tasks, test_tasks, seed)
        self.seed, self.opponent = seed, opponent
        corners = [sign * row for row in torch.eye(len(GOALS)) for sign in (1, -1)]
        self.train = self._make(self._mixtures(train_tasks, "train"), "train")
        self.validation = self._make(self._mixtures(validation_tasks, "validation"), "validation")
        self._mixed = self._make(self._mixtures(test_tasks, "test"), "test")
        self.test = (*self._mixed, *self._make(corners * _CORNER_LOADOUTS, "corners"))

    @property
    def splits(self) -> Mapping[str, range]:
        mixtures, corners = self.test_indices[: len(self._mixed)], self.test_indices[len(self._mixed) :]
        return {**super().splits, "mixtures": mixtures, "corners": corners}

    def describe(self, index: int) -> str:
        bounties = self[index].home_bounties[0]
        pays = ", ".join(f"{key} {weight:g}" for key, weight in sorted(bounties.items()) if weight)
        return f"{self.split_name(index)} task {index}: {pays} ({self.opponent})"

    def event_weights(self) -> torch.Tensor:
        # timeScaling, which reshapes the others, is the game's 1: nothing is reshaped, and nothing happens by that name
        pays = [
            [[weights.get(key, 0.0) for key in BOUNTY_KEYS] for weights in task.home_bounties] for task in self.train
        ]
        return torch.tensor(pays)

    def descriptors(self) -> torch.Tensor:
        return torch.tensor([list(self._weights(task).values()) for task in self.train])

    def kind(self, index: int) -> str:
        """The goal that weighs most, and its sign."""
        weights = self._weights(self[index])
        goal = max(weights, key=lambda name: abs(weights[name]))
        return f"{'+' if weights[goal] > 0 else '-'} {goal}"

    @staticmethod
    def _weights(task: DerkTask) -> dict[str, float]:
        """The weight of each goal, in [-1, 1]."""
        pays = task.home_bounties[0]
        return {goal: pays[next(iter(units))] / next(iter(units.values())) for goal, units in GOALS.items()}

    def _mixtures(self, count: int, split: str) -> list[torch.Tensor]:
        generator = split_generator(self.seed, split)
        points: list[torch.Tensor] = []
        while len(points) < count:
            drawn = torch.nn.functional.normalize(torch.randn(len(GOALS), generator=generator), dim=0)
            if drawn.abs().max() < _CORNER:
                points.append(drawn)
        return points

    def _make(self, points: list[torch.Tensor], stream: str) -> tuple[DerkTask, ...]:
        generator = split_generator(self.seed, stream)
        healers = {**ITEMS_BY_SLOT, "tail": ("HealingGland",)}
        tasks = []
        for point in points:
            bounties = dict.fromkeys(("killEnemyUnit", "killEnemyStatue"), 0.0)
            for weight, goal in zip(point.tolist(), GOALS.values(), strict=True):
                bounties |= {key: round(weight * unit, 6) for key, unit in goal.items()}
            home = draw_loadouts(generator, healers)
            away = draw_loadouts(generator, ITEMS_BY_SLOT)
            tasks.append(
                DerkTask(
                    home_loadouts=home,
                    away_loadouts=away,
                    home_bounties=bounties,
                    away_bounties=DEFAULT_BOUNTIES,
                    opponent=self.opponent,
                )
            )
        return tuple(tasks)
