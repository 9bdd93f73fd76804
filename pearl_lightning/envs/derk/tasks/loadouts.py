"""The Loadouts family: what everybody holds."""

from __future__ import annotations

import math

from pearl_lightning.envs.derk.interface import AGENTS, ITEMS_BY_SLOT
from pearl_lightning.envs.derk.tasks.drawing import check_counts, draw_loadouts, draw_new, split_generator, split_of
from pearl_lightning.envs.derk.tasks.task import BountyName, DerkTask, DerkTasks, Loadout, named_bounties


class LoadoutTasks(DerkTasks):
    """The *Loadouts* family: each agent's items, on both teams, differ from task to task.

    Every slot is drawn on its own from the items of its natural class. A home team of loadouts belongs to one of
    the splits by a hash of its items and the seed: they share none, and each can grow without changing the tasks it
    already has. Within a split no home team comes twice.

    Args:
        train_tasks: Tasks to train on, at least 1.
        validation_tasks: Held-out tasks to play while training, at least 0.
        test_tasks: Held-out tasks to play at the end, at least 0.
        seed: Fixes all splits; at least 0.
        opponent: Who plays the other team, a name that ``pearl_lightning.envs.derk.opponents.make_opponent`` knows.
        bounties: Reward weights of both teams: ``default`` (the game's), ``shaped`` (damage pays too; friendly fire and
            falls cost), or weights by name that are merged over the game's.
        filled_slots: Probability that a slot holds an item, in (0, 1].

    Raises:
        ValueError: A setting outside its range, or more tasks than there are different home teams.
    """

    def __init__(
        self,
        *,
        train_tasks: int = 100,
        validation_tasks: int = 20,
        test_tasks: int = 20,
        seed: int = 0,
        opponent: str = "random",
        bounties: BountyName | dict[str, float] = "default",
        filled_slots: float = 1.0,
    ) -> None:
        check_counts(train_tasks, validation_tasks, test_tasks, seed)
        if not 0 < filled_slots <= 1:
            raise ValueError(f"filled_slots must be in (0, 1], got {filled_slots}")
        exist = math.prod(len(items) + (filled_slots < 1) for items in ITEMS_BY_SLOT.values()) ** AGENTS
        if train_tasks + validation_tasks + test_tasks > exist:
            raise ValueError(
                f"train_tasks + validation_tasks + test_tasks must be at most {exist}, the number of different home "
                f"teams, got {train_tasks} + {validation_tasks} + {test_tasks}"
            )
        self.seed, self.opponent, self.filled_slots = seed, opponent, filled_slots
        self.bounties = named_bounties(bounties)
        self.train = self._draw("train", train_tasks)
        self.validation = self._draw("validation", validation_tasks)
        self.test = self._draw("test", test_tasks)

    def _draw(self, split: str, count: int) -> tuple[DerkTask, ...]:
        generator = split_generator(self.seed, split)
        seen: set[tuple[Loadout, ...]] = set()
        tasks = []
        for _ in range(count):
            home = draw_new(
                f"{split}_tasks",
                lambda: draw_loadouts(generator, ITEMS_BY_SLOT, self.filled_slots),
                seen,
                lambda team: split_of(self.seed, team) == split,
            )
            away = draw_loadouts(generator, ITEMS_BY_SLOT, self.filled_slots)
            tasks.append(
                DerkTask(home_loadouts=home, away_loadouts=away, home_bounties=self.bounties, opponent=self.opponent)
            )
        return tuple(tasks)
