"""The Blind loadouts family: the agents must find out by trial which slot holds which item."""

from __future__ import annotations

from itertools import permutations, product

import torch

from pearl_lightning.derk.interface import AGENTS, GUNS, ITEMS_BY_SLOT
from pearl_lightning.derk.tasks.drawing import check_counts, draw_loadouts, split_generator, split_of
from pearl_lightning.derk.tasks.task import BountyName, DerkTask, DerkTasks, named_bounties

_CLAWS = tuple(item for item in ITEMS_BY_SLOT["arms"] if item not in GUNS)
_USES = (_CLAWS, GUNS, ITEMS_BY_SLOT["tail"], ITEMS_BY_SLOT["misc"])
"""Groups of items that are used in the same way."""


class BlindLoadoutTasks(DerkTasks):
    """The *Blind loadouts* family: all three agents hold the same three items, in hidden slots.

    The item flags of the observation are masked. An item set has one item of each natural slot; all six slot orders of
    a set belong to the same split, so the splits share no set. There are 105 sets, of which about 20 are held out; one
    third of these are for validation.

    Args:
        train_tasks: Number of train tasks, at least 1.
        validation_tasks: Number of held-out tasks for evaluation during training, at least 0.
        test_tasks: Number of held-out tasks for the final evaluation, at least 0.
        seed: Seed of all splits, at least 0.
        opponent: Opponent that plays the other team, a name for
            ``pearl_lightning.derk.opponents.make_opponent``.
        bounties: Reward weights of both teams: ``default``, ``shaped``, or weights by name.

    Raises:
        ValueError: A setting is outside its range, or a split has fewer different tasks than requested.
    """

    hidden = "which item is in which slot"

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
        """Flags for the group of each slot's item: claws, guns, tail or misc."""
        held = [task.home_loadouts[0] for task in self.train]  # the same for all three agents
        return torch.tensor([[float(item in use) for item in items for use in _USES] for items in held])

    def kind(self, index: int) -> str:
        """Order of the natural slots of the three items."""
        return " ".join(
            next(name for name, items in ITEMS_BY_SLOT.items() if item in items)
            for item in self[index].home_loadouts[0]
        )

    def _sets(self) -> dict[str, list[tuple[str, ...]]]:
        """Item sets of each split. The held-out sets are divided by count: by hash, some seeds would validate few."""
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
