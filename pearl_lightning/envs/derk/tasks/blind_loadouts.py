"""The Blind loadouts family: which slot holds what must be found out by trying."""

from __future__ import annotations

from itertools import permutations, product

import torch

from pearl_lightning.envs.derk.interface import AGENTS, GUNS, ITEMS_BY_SLOT
from pearl_lightning.envs.derk.tasks.drawing import check_counts, draw_loadouts, split_generator, split_of
from pearl_lightning.envs.derk.tasks.task import BountyName, DerkTask, DerkTasks, named_bounties

_CLAWS = tuple(item for item in ITEMS_BY_SLOT["arms"] if item not in GUNS)
_USES = (_CLAWS, GUNS, ITEMS_BY_SLOT["tail"], ITEMS_BY_SLOT["misc"])
"""Items that are used alike."""


class BlindLoadoutTasks(DerkTasks):
    """The *Blind loadouts* family: three items, the same for all three agents, in shuffled slots that they do not see.

    The observation's item flags are masked. A set of one item of each natural class belongs to one of the splits,
    with all six orders of its slots: they share no set. There are 105 sets, of which about 20 are held out, a third of
    these for validation.

    Args:
        train_tasks: Tasks to train on, at least 1.
        validation_tasks: Held-out tasks to play while training, at least 0.
        test_tasks: Held-out tasks to play at the end, at least 0.
        seed: Fixes all splits; at least 0.
        opponent: Who plays the other team, a name that ``pearl_lightning.envs.derk.opponents.make_opponent`` knows.
        bounties: Reward weights of both teams: ``default``, ``shaped``, or weights by name.

    Raises:
        ValueError: A setting outside its range, or more tasks of a split than there are.
    """

    def __init__(
        self,
        *,
        train_tasks: int = 256,
        validation_tasks: int = 24,
        test_tasks: int = 48,
        seed: int = 0,
        opponent: str = "random",
        bounties: BountyName | dict[str, float] = "shaped",
    ) -> None:
        check_counts(train_tasks, validation_tasks, test_tasks, seed)
        self.seed, self.opponent, self.bounties = seed, opponent, named_bounties(bounties)
        self.train = self._draw("train", train_tasks)
        self.validation = self._draw("validation", validation_tasks)
        self.test = self._draw("test", test_tasks)

    def descriptors(self) -> torch.Tensor:
        """What each slot is for: claws, guns, the tail's or the others, a flag for each."""
        held = [task.home_loadouts[0] for task in self.train]  # alike for the three agents
        return torch.tensor([[float(item in use) for item in items for use in _USES] for items in held])

    def kind(self, index: int) -> str:
        """The order of the natural classes in the slots."""
        return " ".join(
            next(name for name, items in ITEMS_BY_SLOT.items() if item in items)
            for item in self[index].home_loadouts[0]
        )

    def _sets(self) -> dict[str, list[tuple[str, ...]]]:
        """The sets of each split; with so few of them, the hash alone would leave some seeds hardly any to validate."""
        by_hash: dict[str, list[tuple[str, ...]]] = {"train": [], "validation": [], "test": []}
        for items in product(*ITEMS_BY_SLOT.values()):
            by_hash[split_of(self.seed, items)].append(items)
        held_out = by_hash["validation"] + by_hash["test"]
        third = len(held_out) // 3
        return by_hash | {"validation": held_out[:third], "test": held_out[third:]}

    def _draw(self, split: str, count: int) -> tuple[DerkTask, ...]:
        generator = split_generator(self.seed, split)
        loadouts = [order for items in self._sets()[split] for order in permutations(items)]
        if count > len(loadouts):
            raise ValueError(f"{split}_tasks must be at most {len(loadouts)} with seed {self.seed}, got {count}")
        return tuple(
            DerkTask(
                home_loadouts=[loadouts[index]] * AGENTS,
                away_loadouts=draw_loadouts(generator, ITEMS_BY_SLOT),
                home_bounties=self.bounties,
                opponent=self.opponent,
                masks_items=True,
            )
            for index in torch.randperm(len(loadouts), generator=generator)[:count].tolist()
        )
