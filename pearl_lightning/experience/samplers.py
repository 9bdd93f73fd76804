"""Writer and samplers of the replay. They keep track of the rows of each task in one TorchRL storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.data.replay_buffers.samplers import Sampler
from torchrl.data.replay_buffers.storages import Storage
from torchrl.data.replay_buffers.writers import Writer


@dataclass(frozen=True)
class SamplerTables:
    """Tables that the samplers read, on their device, and numbers that decide shapes: a draw does not wait for a GPU.

    Args:
        with_data: Tasks with episodes ``[number]``.
        filled: Slots in use per task ``[task]``.
        context_order: Running number of the context episode in each slot, or -1 ``[task, slot]``.
        written_at: Update at which the episode was written ``[task, slot]``.
        place: Place in the storage, or -1 ``[task, slot]``.
        length: Played steps of the episode ``[task, slot]``.
        are_whole: Whether every stored episode was played up to the horizon.
        context_episodes: Number of context episodes of the task with data that has the fewest.
    """

    with_data: Tensor
    filled: Tensor
    context_order: Tensor
    written_at: Tensor
    place: Tensor
    length: Tensor
    are_whole: bool
    context_episodes: int


class TaskWriter(Writer):
    """Writes whole episodes to a ring of slots per task, and records which of them are context.

    Args:
        tasks: Number of tasks.
        slots: Number of episodes kept per task.
        rows: Storage rows of an episode: its steps and the final observation.
        device: Device of the storage and of the samplers. The writer's own tables are on the CPU.
    """

    _tables = ("written", "context_order", "written_at", "place", "length")

    def __init__(self, tasks: int, slots: int, rows: int, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.tasks, self.slots, self.rows, self.device = tasks, slots, rows, torch.device(device)
        self.written = torch.zeros(tasks, dtype=torch.long)  # episodes ever written
        self.context_order = torch.full((tasks, slots), -1, dtype=torch.long)  # running number of context episodes
        self.written_at = torch.zeros(tasks, slots, dtype=torch.long)  # update at which the episode was written
        self.place = torch.full((tasks, slots), -1, dtype=torch.long)  # place in the storage; -1: no episode yet
        self.length = torch.zeros(tasks, slots, dtype=torch.long)  # played steps of the episode
        self.used = 0  # places in use
        self.update = 0  # current update; ages of episodes are relative to it
        self.tables = self._make_tables()

    def extend(self, data: TensorDictBase) -> Tensor:
        """Store episodes ``[episode, row]`` with ``task``, ``played`` and ``is_context``; returns their row indices."""
        most = int(data["task"][:, 0].bincount().max())
        if most > self.slots:
            raise ValueError(
                f"episodes_per_task ({self.slots}) is less than the episodes of one task stored at once ({most})"
            )
        places, facts = [], (data["task"][:, 0], data["is_context"][:, 0], data["played"].sum(dim=1))
        for task, is_context, length in zip(*(each.tolist() for each in facts), strict=True):
            number = int(self.written[task])
            slot = number % self.slots
            self.written[task] += 1
            self.context_order[task, slot] = number if is_context else -1
            self.written_at[task, slot] = self.update
            self.length[task, slot] = length
            if self.place[task, slot] < 0:
                self.place[task, slot] = self.used
                self.used += 1
            places.append(int(self.place[task, slot]))
        index = (torch.tensor(places).unsqueeze(1) * self.rows + torch.arange(self.rows)).flatten().to(self.device)
        self._storage.set(index, data.exclude("task", "is_context").flatten().to(self.device))
        self.tables = self._make_tables()
        return index

    def count_from(self, update: int) -> None:
        """Set the current update. A new run counts from 0 again: episodes of the last one keep their age."""
        if update < self.update:
            self.written_at -= self.update
            self.tables = self._make_tables()
        self.update = update

    def add(self, data: Any) -> int:
        raise TypeError("TaskReplay stores whole episodes: use extend")

    def _empty(self) -> None:
        self.written.zero_()
        self.context_order.fill_(-1)
        self.place.fill_(-1)
        self.length.zero_()
        self.used = 0
        self.tables = self._make_tables()

    def _make_tables(self) -> SamplerTables:
        with_data, filled = (self.written > 0).nonzero().flatten(), self.written.clamp_max(self.slots)
        context_episodes = (self.context_order[with_data] >= 0).sum(dim=1)
        return SamplerTables(
            with_data=with_data.to(self.device),
            filled=filled.to(self.device),
            context_order=self.context_order.to(self.device),
            written_at=self.written_at.to(self.device),
            place=self.place.to(self.device),
            length=self.length.to(self.device),
            are_whole=int(self.length.sum()) == int(filled.sum()) * (self.rows - 1),
            context_episodes=int(context_episodes.min()) if len(with_data) else 0,
        )

    def state_dict(self) -> dict[str, Any]:
        tables = {name: getattr(self, name).clone() for name in self._tables}
        return tables | {"used": self.used, "update": self.update, "rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if (rows := state_dict["rows"]) != self.rows:
            raise ValueError(
                f"the saved replay has episodes of {rows - 1} steps, this run needs {self.rows - 1}: keep the length "
                "of an episode to resume"
            )
        for name in self._tables:
            if state_dict[name].shape != getattr(self, name).shape:
                raise ValueError(
                    f"the saved replay has {name} of shape {tuple(state_dict[name].shape)}, this run needs "
                    f"{tuple(getattr(self, name).shape)}: keep the number of tasks and episodes_per_task to resume"
                )
            getattr(self, name).copy_(state_dict[name])
        self.used, self.update = state_dict["used"], state_dict["update"]
        self.tables = self._make_tables()

    def dumps(self, path: Any) -> None:
        raise TypeError("use TaskReplay.save")

    def loads(self, path: Any) -> None:
        raise TypeError("use TaskReplay.load")


class _TaskSampler(Sampler):
    """Draws row indices from the episodes of ``tasks``, an attribute that must be set before each draw."""

    def __init__(self, writer: TaskWriter, generator: torch.Generator) -> None:
        super().__init__()
        self.writer, self.generator = writer, generator
        self.tasks = torch.zeros(0, dtype=torch.long)

    def _empty(self) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass

    def dumps(self, path: Any) -> None:
        raise TypeError("use TaskReplay.save")

    def loads(self, path: Any) -> None:
        raise TypeError("use TaskReplay.load")


class TransitionSampler(_TaskSampler):
    """Draws uniformly from all steps of each task that were played."""

    def sample(self, storage: Storage, batch_size: int) -> tuple[Tensor, dict[str, Any]]:
        """Draw ``batch_size`` rows per task ``[task, batch_size]``; ``left`` is the number of steps until the end."""
        tables, shape = self.writer.tables, (len(self.tasks), batch_size)
        length, device = tables.length[self.tasks], self.writer.device
        uniform = torch.rand(shape, generator=self.generator, dtype=torch.float64, device=device)
        slot = (uniform * tables.filled[self.tasks].unsqueeze(1)).long()
        step = torch.randint(self.writer.rows - 1, shape, generator=self.generator, device=device)
        if not tables.are_whole:
            ends = length.cumsum(dim=1)  # [task, slot]
            position = (uniform * ends[:, -1:]).long()  # among all steps of the task
            slot = torch.searchsorted(ends, position, right=True)
            step = position - (ends - length).gather(1, slot)
        index = tables.place[self.tasks].gather(1, slot) * self.writer.rows + step
        return index, {"left": length.gather(1, slot) - step}


class RecentContextSampler(_TaskSampler):
    """Draws whole episodes from the most recent context episodes of each task.

    Args:
        writer: Writer of the storage.
        generator: Generator that draws the episodes.
        recent: Number of a task's last context episodes to draw from.
    """

    def __init__(self, writer: TaskWriter, generator: torch.Generator, recent: int) -> None:
        super().__init__(writer, generator)
        self.recent = recent

    def sample(self, storage: Storage, batch_size: int) -> tuple[Tensor, dict[str, Any]]:
        """Draw the rows ``[task, episode, row]`` of ``batch_size`` different episodes per task.

        There are fewer if any task with episodes, drawn or not, has fewer context episodes.
        """
        tables, device = self.writer.tables, self.writer.device
        order = tables.context_order[self.tasks]  # [task, slot]
        newest = order.topk(min(self.recent, order.shape[1]), dim=1)
        key = torch.rand(newest.values.shape, generator=self.generator, device=device)
        key = key.masked_fill(newest.values < 0, -1.0)
        episodes = min(batch_size, self.recent, tables.context_episodes)
        if episodes == 0:
            raise RuntimeError("a task has episodes but no context episode: the collector must mark some")
        slot = newest.indices.gather(1, key.topk(episodes, dim=1).indices)  # [task, episode]
        age = self.writer.update - tables.written_at[self.tasks].gather(1, slot)
        first = tables.place[self.tasks].gather(1, slot) * self.writer.rows
        return first.unsqueeze(-1) + torch.arange(self.writer.rows, device=device), {"age": age.float().mean()}
