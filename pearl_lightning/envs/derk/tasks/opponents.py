"""The Opponents family: who plays the other team, and with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from pearl_lightning.envs.derk.interface import GUNS, ITEMS_BY_SLOT
from pearl_lightning.envs.derk.opponents import opponent_class
from pearl_lightning.envs.derk.tasks.drawing import check_counts, draw_loadouts, draw_new, is_held_out
from pearl_lightning.envs.derk.tasks.task import BountyName, DerkTask, DerkTasks, Loadout, named_bounties

SHOOTERS: Mapping[str, Sequence[str]] = {"arms": GUNS, "tail": ("ParalyzingDart",)}
"""Items, by slot, of a team that harms from a distance."""


class OpponentTasks(DerkTasks):
    """The *Opponents* family: the other team's style and loadouts are hidden.

    Every style comes equally often, each with items it can use. There are two test splits: ``known_styles``, loadouts
    never met in training in the hands of styles that were, and ``new_styles``, styles never trained against. What the
    learner's team holds is drawn too, and seen; it always shoots, with bullets and darts, for with claws it would be at
    the mercy of whoever shoots and keeps away, whatever it knew of him.

    Args:
        styles: Opponents to train against, names that ``pearl_lightning.envs.derk.opponents.make_opponent`` knows: the
            scripted ones, ``checkpoint:runs/NAME/checkpoints/last.ckpt``, ``server:ws://127.0.0.1:8789``, an agent
            server of gym-derk's, an own one's ``module.Class``, or ``selves:hard``, the learner as it was (see
            ``SelfPlayPool``; no fixed opponent, so in neither test split).
        new_styles: Opponents of the second test split, none of ``styles``.
        own_items: What the learner's agents may hold, by slot (``ITEMS_BY_SLOT``); anything where it says nothing.
        train_tasks: Tasks to train on, at least 1.
        test_tasks: Held-out tasks of each of the two test splits, at least 0.
        seed: Fixes all splits; at least 0.
        bounties: Reward weights of both teams: ``default``, ``shaped``, or weights by name.

    Raises:
        ValueError: A setting outside its range, an unknown style, slot or item, or a style on both lists.
    """

    def __init__(
        self,
        *,
        styles: Sequence[str] = ("attacker", "pusher", "sniper", "guardian", "healer", "gang"),
        new_styles: Sequence[str] = ("disruptor", "runner"),
        own_items: Mapping[str, Sequence[str]] = SHOOTERS,
        train_tasks: int = 240,
        test_tasks: int = 32,
        seed: int = 0,
        bounties: BountyName | dict[str, float] = "shaped",
    ) -> None:
        check_counts(train_tasks=(train_tasks, 1), test_tasks=(test_tasks, 0), seed=(seed, 0))
        if not styles:
            raise ValueError("styles must hold at least one opponent, got none")
        self._items = {style: opponent_class(style).items for style in (*styles, *new_styles)}
        both = sorted(set(styles) & set(new_styles))
        if both:
            raise ValueError(f"new_styles must not be among styles, got {', '.join(both)} in both")
        unknown = sorted(set(own_items) - set(ITEMS_BY_SLOT))
        if unknown:
            raise ValueError(f"own_items must name slots among {', '.join(ITEMS_BY_SLOT)}, got {unknown[0]!r}")
        self._own_items = {slot: tuple(own_items.get(slot, items)) for slot, items in ITEMS_BY_SLOT.items()}
        for slot, items in self._own_items.items():
            if not items:
                raise ValueError(f"own_items must give at least one item for {slot}, got none")
        self.styles, self.new_styles, self.seed = tuple(styles), tuple(new_styles), seed
        self.bounties = named_bounties(bounties)
        self.train = self._draw("train_tasks", train_tasks, self.styles, (False,))
        fixed = tuple(style for style in self.styles if not style.startswith("selves:"))
        self._known = self._draw("test_tasks", test_tasks, fixed, (True,)) if fixed else ()
        new = self._draw("test_tasks", test_tasks, self.new_styles, (False, True)) if new_styles else ()
        self.test = (*self._known, *new)

    @property
    def splits(self) -> Mapping[str, range]:
        first = len(self.train) + len(self._known)
        return {
            **super().splits,
            "known_styles": range(len(self.train), first),
            "new_styles": range(first, len(self)),
        }

    def descriptors(self) -> torch.Tensor:
        """Which of the styles plays, a flag for each."""
        return torch.tensor([[float(task.opponent == style) for style in self.styles] for task in self.train])

    def kind(self, index: int) -> str:
        return self[index].opponent

    def _draw(self, name: str, count: int, styles: tuple[str, ...], sides: tuple[bool, ...]) -> tuple[DerkTask, ...]:
        """Tasks of some styles, on the given sides of the hash that holds loadouts out."""
        generator = torch.Generator().manual_seed(3 * self.seed + len(sides) - 1 + sides[-1])
        seen: set[tuple[str, tuple[Loadout, ...]]] = set()
        tasks = []
        for number in range(count):
            style = styles[number % len(styles)]

            def draw(style: str = style) -> tuple[str, tuple[Loadout, ...]]:
                return style, draw_loadouts(generator, self._items[style])

            _, away = draw_new(name, draw, seen, lambda hidden: is_held_out(self.seed, hidden) in sides)
            home = draw_loadouts(generator, self._own_items)
            tasks.append(DerkTask(home_loadouts=home, away_loadouts=away, home_bounties=self.bounties, opponent=style))
        return tuple(tasks)
