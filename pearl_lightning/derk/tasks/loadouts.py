"""The Loadouts family: the items of all agents differ between tasks."""

from __future__ import annotations

import math

from pearl_lightning.derk.interface import AGENTS, ITEMS_BY_SLOT
from pearl_lightning.derk.tasks.drawing import check_counts, draw_loadouts, draw_new, split_generator, split_of
from pearl_lightning.derk.tasks.task import BountyName, DerkTask, DerkTasks, Loadout, named_bounties


class LoadoutTasks(DerkTasks):
    """The *Loadouts* family: the items of every agent, on both teams, differ between tasks.

    Every slot is drawn independently from the items of that natural slot. A hash of the seed and of the home team's
    items assigns the home team to a split. The splits therefore share no home team, and a split can grow without
    changing its existing tasks. Within a split, all home teams differ.

    Args:
        train_tasks: Number of train tasks, at least 1.
        validation_tasks: Number of held-out tasks for evaluation during training, at least 0.
        test_tasks: Number of held-out tasks for the final evaluation, at least 0.
        seed: Seed of all splits, at least 0.
        opponent: Opponent that plays the other team, a name for
            ``pearl_lightning.derk.opponents.make_opponent``.
        bounties: Reward weights of both teams: ``default`` (the game's), ``shaped`` (damage is rewarded too; friendly
            fire and falls are penalized), or weights by name that are merged over the game's.
        filled_slots: Probability that a slot holds an item, in (0, 1].

    Raises:
        ValueError: A setting is outside its range, or there are fewer different home teams than tasks.
    """

    hidden = "which items the other team holds"

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
