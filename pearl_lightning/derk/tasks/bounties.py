"""The Bounties family: the reward weights are hidden."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pearl_lightning.derk.interface import BOUNTY_KEYS, DEFAULT_BOUNTIES, ITEMS_BY_SLOT
from pearl_lightning.derk.tasks.drawing import check_counts, draw_loadouts, split_generator
from pearl_lightning.derk.tasks.task import DerkTask, DerkTasks

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
"""Bounties that form one goal each. The weight of a goal is in [-1, 1]; a negative weight penalizes the goal.

The units make all goals worth about the same: a return of 2.5 to 5 for a team that pursues a single goal well."""

_CORNER = 0.9
"""Absolute weight from which a mixture counts as a single goal."""

_CORNER_LOADOUTS = 4
"""Number of loadouts per corner."""


class BountyTasks(DerkTasks):
    """The *Bounties* family: the reward weights are hidden, and their signs differ between tasks.

    A task weighs four goals: harm the enemies, harm their statue, stand in their half, heal. The weights are a point on
    the unit sphere, so all tasks have similar returns. No train task is near a corner of the sphere, that is, near a
    single goal. Validation tasks are new points away from the corners. There are two test splits: ``mixtures``, more
    such points, and ``corners``, the eight corners with four loadouts each. The other team always has the game's
    default bounties.

    Args:
        train_tasks: Number of train tasks, at least 1.
        validation_tasks: Number of held-out mixtures for evaluation during training, at least 0.
        test_tasks: Number of held-out mixtures for the final evaluation, at least 0.
        seed: Seed of all splits, at least 0.
        opponent: Opponent that plays the other team, a name for
            ``pearl_lightning.derk.opponents.make_opponent``.

    Raises:
        ValueError: A setting is outside its range.
    """

    hidden = "which events are rewarded"

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
        rewards = ", ".join(f"{key} {weight:g}" for key, weight in sorted(bounties.items()) if weight)
        return f"{self.split_name(index)} task {index}: {rewards} ({self.opponent})"

    def event_weights(self) -> torch.Tensor:
        # timeScaling rescales other rewards; it keeps the game's default of 1, which changes nothing, and has no events
        rewards = [
            [[weights.get(key, 0.0) for key in BOUNTY_KEYS] for weights in task.home_bounties] for task in self.train
        ]
        return torch.tensor(rewards)

    def descriptors(self) -> torch.Tensor:
        return torch.tensor([list(self._weights(task).values()) for task in self.train])

    def kind(self, index: int) -> str:
        """Goal with the largest absolute weight, and its sign."""
        weights = self._weights(self[index])
        goal = max(weights, key=lambda name: abs(weights[name]))
        return f"{'+' if weights[goal] > 0 else '-'} {goal}"

    @staticmethod
    def _weights(task: DerkTask) -> dict[str, float]:
        """Weight of each goal, in [-1, 1]."""
        rewards = task.home_bounties[0]
        return {goal: rewards[next(iter(units))] / next(iter(units.values())) for goal, units in GOALS.items()}

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
