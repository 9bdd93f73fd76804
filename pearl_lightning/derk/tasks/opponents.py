"""The Opponents family: the style and the loadouts of the other team are hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from pearl_lightning.derk.interface import GUNS, ITEMS_BY_SLOT
from pearl_lightning.derk.opponents import opponent_class
from pearl_lightning.derk.tasks.drawing import check_counts, draw_loadouts, draw_new, split_generator, split_of
from pearl_lightning.derk.tasks.task import BountyName, DerkTask, DerkTasks, Loadout, named_bounties

SHOOTERS: Mapping[str, Sequence[str]] = {"arms": GUNS, "tail": ("ParalyzingDart",)}
"""Ranged items by slot: guns and darts."""


class OpponentTasks(DerkTasks):
    """The *Opponents* family: the other team's style and loadouts are hidden.

    All styles are equally frequent, and each style has items that it can use. Validation tasks pair the training styles
    with loadouts that do not occur in training. There are two test splits: ``known_styles``, more tasks of this kind,
    and ``new_styles``, styles that occur in no other split. The loadouts of the learner's team are drawn too, but they
    are observed. By default the learner's team has guns and darts, because a team with claws loses to opponents that
    shoot and keep their distance even if it identifies them.

    Args:
        styles: Opponents to train against: names for ``pearl_lightning.derk.opponents.make_opponent``. A name is that
            of a scripted opponent, ``checkpoint:runs/NAME/checkpoints/last.ckpt``, ``checkpoint:hf://OWNER/NAME`` (an
            agent on the Hugging Face Hub), ``server:ws://127.0.0.1:8789`` (an agent server of gym-derk), or the
            ``module.Class`` of a custom opponent. ``selves:hard`` names past
            versions of the learner (see ``SelfPlayPool``), which change during training and are not in held-out tasks.
        new_styles: Opponents of the second test split; none of them may be in ``styles``.
        own_items: Items that the learner's agents may hold, by slot (``ITEMS_BY_SLOT``). A slot that is missing here
            may hold any of its items.
        train_tasks: Number of train tasks, at least 1.
        validation_tasks: Number of held-out tasks for evaluation during training, at least 0.
        test_tasks: Number of held-out tasks in each of the two test splits, at least 0.
        seed: Seed of all splits, at least 0.
        bounties: Reward weights of both teams: ``default``, ``shaped``, or weights by name.

    Raises:
        ValueError: A setting is outside its range; a style, slot or item is unknown; or a style is in both lists.
    """

    hidden = "how the other team plays"

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
            raise ValueError("styles must contain at least one opponent, got none")
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
        """One-hot encoding of each train task's style."""
        return torch.tensor([[float(task.opponent == style) for style in self.styles] for task in self.train])

    def kind(self, index: int) -> str:
        return self[index].opponent

    def _draw(self, split: str, count: int, styles: tuple[str, ...]) -> tuple[DerkTask, ...]:
        """Draw the tasks of a split from some styles; empty if there are no styles."""
        generator = split_generator(self.seed, split)
        setting = "test_tasks" if split == "new_styles" else f"{split}_tasks"
        seen: set[tuple[str, tuple[Loadout, ...]]] = set()
        tasks = []

        def belongs(hidden: tuple[str, tuple[Loadout, ...]]) -> bool:
            return split in ("new_styles", split_of(self.seed, hidden))  # teams of new styles are in no other split

        for number in range(count if styles else 0):
            style = styles[number % len(styles)]

            def draw(style: str = style) -> tuple[str, tuple[Loadout, ...]]:
                return style, draw_loadouts(generator, self._items[style])

            _, away = draw_new(setting, draw, seen, belongs)
            home = draw_loadouts(generator, self._own_items)
            tasks.append(DerkTask(home_loadouts=home, away_loadouts=away, home_bounties=self.bounties, opponent=style))
        return tuple(tasks)
