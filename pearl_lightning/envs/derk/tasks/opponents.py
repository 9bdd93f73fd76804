"""The Opponents family: who plays the other team, and with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from pearl_lightning.envs.derk.interface import GUNS, ITEMS_BY_SLOT
from pearl_lightning.envs.derk.opponents import opponent_class
from pearl_lightning.envs.derk.tasks.drawing import check_counts, draw_loadouts, draw_new, split_generator, split_of
from pearl_lightning.envs.derk.tasks.task import BountyName, DerkTask, DerkTasks, Loadout, named_bounties

SHOOTERS: Mapping[str, Sequence[str]] = {"arms": GUNS, "tail": ("ParalyzingDart",)}
"""Items, by slot, of a team that harms from a distance."""


class OpponentTasks(DerkTasks):
    """The *Opponents* family: the other team's style and loadouts are hidden.

    Every style comes equally often, each with items it can use. Validation tasks are loadouts never met in training in
    the hands of styles that were. There are two test splits: ``known_styles``, other such loadouts, and ``new_styles``,
    styles that are played at the end only. What the learner's team holds is drawn too, and seen; unless ``own_items``
    says otherwise it shoots, with bullets and darts, for with claws it would be at the mercy of whoever shoots and
    keeps away, whatever it knew of him.

    Args:
        styles: Opponents to train against, names that ``pearl_lightning.envs.derk.opponents.make_opponent`` knows: the
            scripted ones, ``checkpoint:runs/NAME/checkpoints/last.ckpt``, ``server:ws://127.0.0.1:8789``, an agent
            server of gym-derk's, an own one's ``module.Class``, or ``selves:hard``, the learner as it was (see
            ``SelfPlayPool``; no fixed opponent, so among no held-out tasks).
        new_styles: Opponents of the second test split, none of ``styles``.
        own_items: What the learner's agents may hold, by slot (``ITEMS_BY_SLOT``); anything where it says nothing.
        train_tasks: Tasks to train on, at least 1.
        validation_tasks: Held-out tasks to play while training, at least 0.
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
        validation_tasks: int = 48,
        test_tasks: int = 32,
        seed: int = 0,
        bounties: BountyName | dict[str, float] = "shaped",
    ) -> None:
        check_counts(train_tasks, validation_tasks, test_tasks, seed)
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
        fixed = tuple(style for style in self.styles if not style.startswith("selves:"))
        self.train = self._draw("train", train_tasks, self.styles)
        self.validation = self._draw("validation", validation_tasks, fixed)
        self._known = self._draw("test", test_tasks, fixed)
        self.test = (*self._known, *self._draw("new_styles", test_tasks, self.new_styles))

    @property
    def splits(self) -> Mapping[str, range]:
        known, new = self.test_indices[: len(self._known)], self.test_indices[len(self._known) :]
        return {**super().splits, "known_styles": known, "new_styles": new}

    def descriptors(self) -> torch.Tensor:
        """Which of the styles plays, a flag for each."""
        return torch.tensor([[float(task.opponent == style) for style in self.styles] for task in self.train])

    def kind(self, index: int) -> str:
        return self[index].opponent

    def _draw(self, split: str, count: int, styles: tuple[str, ...]) -> tuple[DerkTask, ...]:
        """Tasks of some styles, none where there are no styles."""
        generator = split_generator(self.seed, split)
        setting = "test_tasks" if split == "new_styles" else f"{split}_tasks"
        seen: set[tuple[str, tuple[Loadout, ...]]] = set()
        tasks = []

        def belongs(hidden: tuple[str, tuple[Loadout, ...]]) -> bool:
            return split in ("new_styles", split_of(self.seed, hidden))  # a new style's teams are in no other split

        for number in range(count if styles else 0):
            style = styles[number % len(styles)]

            def draw(style: str = style) -> tuple[str, tuple[Loadout, ...]]:
                return style, draw_loadouts(generator, self._items[style])

            _, away = draw_new(setting, draw, seen, belongs)
            home = draw_loadouts(generator, self._own_items)
            tasks.append(DerkTask(home_loadouts=home, away_loadouts=away, home_bounties=self.bounties, opponent=style))
        return tuple(tasks)
