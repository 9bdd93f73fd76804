"""Replay with a task axis: one TorchRL buffer, a sampler of transitions and a sampler of recent context."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.data.replay_buffers.samplers import Sampler
from torchrl.data.replay_buffers.storages import Storage
from torchrl.data.replay_buffers.writers import Writer


class TaskWriter(Writer):
    """Puts whole episodes into a ring of slots per task, and remembers which of them are context.

    Args:
        tasks: Number of tasks.
        slots: Episodes kept per task.
        rows: Storage rows of an episode (its steps and the final observation).
    """

    _tables = ("written", "context_order", "written_at", "place")

    def __init__(self, tasks: int, slots: int, rows: int) -> None:
        super().__init__()
        self.tasks, self.slots, self.rows = tasks, slots, rows
        self.written = torch.zeros(tasks, dtype=torch.long)  # episodes ever written
        self.context_order = torch.full((tasks, slots), -1, dtype=torch.long)  # running number of context episodes
        self.written_at = torch.zeros(tasks, slots, dtype=torch.long)  # update at which the episode was written
        self.place = torch.full((tasks, slots), -1, dtype=torch.long)  # where in the storage, given out as slots fill
        self.used = 0  # places given out
        self.update = 0  # the update being made, by which the age of an episode is told

    def extend(self, data: TensorDictBase) -> Tensor:
        """Store episodes ``[episode, row]`` with ``task`` and ``is_context``; returns their row indices."""
        most = int(data["task"][:, 0].bincount().max())
        if most > self.slots:
            raise ValueError(
                f"episodes_per_task ({self.slots}) is less than the episodes of one task stored at once ({most})"
            )
        places = []
        for task, is_context in zip(data["task"][:, 0].tolist(), data["is_context"][:, 0].tolist(), strict=True):
            number = int(self.written[task])
            slot = number % self.slots
            self.written[task] += 1
            self.context_order[task, slot] = number if is_context else -1
            self.written_at[task, slot] = self.update
            if self.place[task, slot] < 0:
                self.place[task, slot] = self.used
                self.used += 1
            places.append(int(self.place[task, slot]))
        index = (torch.tensor(places).unsqueeze(1) * self.rows + torch.arange(self.rows)).flatten()
        self._storage.set(index, data.exclude("task", "is_context").flatten())
        return index

    def add(self, data: Any) -> int:
        raise TypeError("TaskReplay stores whole episodes: use extend")

    def _empty(self) -> None:
        self.written.zero_()
        self.context_order.fill_(-1)
        self.place.fill_(-1)
        self.used = 0

    @property
    def filled(self) -> Tensor:
        """Slots in use per task ``[task]``."""
        return self.written.clamp_max(self.slots)

    def state_dict(self) -> dict[str, Any]:
        tables = {name: getattr(self, name).clone() for name in self._tables}
        return tables | {"used": self.used, "update": self.update}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in self._tables:
            if state_dict[name].shape != getattr(self, name).shape:
                raise ValueError(
                    f"the saved replay has {name} of shape {tuple(state_dict[name].shape)}, this run needs "
                    f"{tuple(getattr(self, name).shape)}: keep the number of tasks and episodes_per_task to resume"
                )
            getattr(self, name).copy_(state_dict[name])
        self.used, self.update = state_dict["used"], state_dict["update"]

    def dumps(self, path: Any) -> None:
        raise TypeError("use TaskReplay.save")

    def loads(self, path: Any) -> None:
        raise TypeError("use TaskReplay.load")


class _TaskSampler(Sampler):
    """Draws row indices from the data of ``tasks``, which are set before each draw."""

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
    """Uniform over all steps that are stored of each task."""

    def sample(self, storage: Storage, batch_size: int) -> tuple[Tensor, dict[str, Any]]:
        """``batch_size`` rows per task ``[task, batch_size]``; ``left``: how many rows of the episode follow each."""
        shape = (len(self.tasks), batch_size)
        uniform = torch.rand(shape, generator=self.generator, dtype=torch.float64)
        slot = (uniform * self.writer.filled[self.tasks].unsqueeze(1)).long()
        step = torch.randint(self.writer.rows - 1, shape, generator=self.generator)
        index = self.writer.place[self.tasks].gather(1, slot) * self.writer.rows + step
        return index, {"left": self.writer.rows - 1 - step}


class RecentContextSampler(_TaskSampler):
    """Whole episodes from each task's most recent ones that are marked as context.

    Args:
        writer: Knows which slot holds what.
        generator: Draws the episodes.
        recent: How many of a task's last context episodes are eligible.
    """

    def __init__(self, writer: TaskWriter, generator: torch.Generator, recent: int) -> None:
        super().__init__(writer, generator)
        self.recent = recent

    def sample(self, storage: Storage, batch_size: int) -> tuple[Tensor, dict[str, Any]]:
        """Rows ``[task, episode, row]`` of ``batch_size`` different episodes per task, fewer while there are fewer."""
        order = self.writer.context_order[self.tasks]  # [task, slot]
        newest = order.topk(min(self.recent, order.shape[1]), dim=1)
        key = torch.rand(newest.values.shape, generator=self.generator)
        key = key.masked_fill(newest.values < 0, -1.0)
        episodes = min(batch_size, int((newest.values >= 0).sum(dim=1).min()))
        if episodes == 0:
            raise RuntimeError("a task of the meta-batch has no context episode: the collector must mark some")
        slot = newest.indices.gather(1, key.topk(episodes, dim=1).indices)  # [task, episode]
        age = self.writer.update - self.writer.written_at[self.tasks].gather(1, slot)
        first = self.writer.place[self.tasks].gather(1, slot) * self.writer.rows
        return first.unsqueeze(-1) + torch.arange(self.writer.rows), {"age": age.float().mean()}


class TaskReplay:
    """Episodes of all train tasks in one TorchRL buffer, seen through two samplers (Rakelly et al. 2019, sec. 4.3).

    Memory is taken as it fills. Each observation is stored once: a transition's next observation is the row after it.

    Args:
        tasks: Number of train tasks.
        episodes_per_task: Ring size of each task.
        horizon: Steps of an episode.
        recent_context: How many of a task's last context episodes the encoder may be given.
        generator: Draws tasks, transitions and context.
        relabelled: Share of a meta-batch's tasks that are given another task's data, paid as their own would be:
            hindsight over tasks (Li et al. 2020, "Generalized hindsight"; here for context too).
        event_weights: What each task pays for an event ``[task, agent, event]``; episodes must then hold ``events``.
        n_steps: Steps whose rewards a transition sums before the critic's estimate takes over (n-step returns).
        descriptors: What tells the tasks apart ``[task, number]``; meta-batches then hold it.
    """

    def __init__(
        self,
        *,
        tasks: int,
        episodes_per_task: int,
        horizon: int,
        recent_context: int,
        generator: torch.Generator,
        relabelled: float = 0.0,
        event_weights: Tensor | None = None,
        n_steps: int = 1,
        descriptors: Tensor | None = None,
    ) -> None:
        sizes = {
            "tasks": tasks,
            "episodes_per_task": episodes_per_task,
            "recent_context": recent_context,
            "n_steps": n_steps,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if not 0 <= relabelled <= 1:
            raise ValueError(f"relabelled must be in [0, 1], got {relabelled}")
        if relabelled and event_weights is None:
            raise ValueError(f"relabelled must be 0 without event_weights, got {relabelled}")
        self.generator, self.relabelled, self.event_weights = generator, relabelled, event_weights
        self.n_steps, self.descriptors = n_steps, descriptors
        self.writer = TaskWriter(tasks, episodes_per_task, horizon + 1)
        self.transition_sampler = TransitionSampler(self.writer, generator)
        self.context_sampler = RecentContextSampler(self.writer, generator, recent_context)
        self.buffer = ReplayBuffer(
            storage=LazyTensorStorage(tasks * episodes_per_task * (horizon + 1)),
            sampler=self.transition_sampler,
            writer=self.writer,
            batch_size=1,
        )

    def __len__(self) -> int:
        """Transitions held, in steps of one arena."""
        return int(self.writer.filled.sum()) * (self.writer.rows - 1)

    def extend(self, episodes: TensorDictBase, is_context: bool, update: int = 0) -> None:
        """Store whole episodes ``[arena, row]`` as ``rollout.play_episode`` returns them.

        Args:
            episodes: With the train task's index in ``task``.
            is_context: Whether the encoder may be trained on them.
            update: The update at which they were played.

        Raises:
            ValueError: Wrong number of rows, a task that is not a train task, or a number that is not finite.
        """
        episodes = episodes.to("cpu")
        if episodes.shape[1] != self.writer.rows:
            raise ValueError(f"episodes must have {self.writer.rows} rows, got {episodes.shape[1]}")
        lowest, highest = (int(bound) for bound in episodes["task"].aminmax())
        if lowest < 0 or highest >= self.writer.tasks:
            raise ValueError(f"only train tasks [0, {self.writer.tasks}) are stored, got [{lowest}, {highest}]")
        for name in ("observation", "action", "reward", "training_reward"):
            if not torch.isfinite(episodes[name]).all():
                raise ValueError(f"episodes hold a {name} that is not finite")
        self.writer.update = update
        stored = episodes.exclude("outcome").set("is_context", torch.full(episodes.shape, is_context))
        self.writer.extend(stored)

    def sample(
        self, tasks: int, transitions: int, context_episodes: int, update: int | None = None
    ) -> tuple[TensorDict, dict[str, Tensor]]:
        """A meta-batch and its diagnostics.

        Args:
            tasks: Different tasks drawn among those with data; all of them where there are fewer.
            transitions: Transitions per task, each of one agent.
            context_episodes: Whole context episodes per task.
            update: The update that the meta-batch is for; that of the last ``extend`` when left out.

        Returns:
            ``transitions`` ``[task, transition]``, ``context`` ``[task, episode, row]`` and, where there is any,
            ``descriptor`` ``[task, number]`` as ``PEARL.losses`` wants them, and ``age``: how many updates ago the
            context was played.
        """
        if update is not None:
            self.writer.update = update
        with_data = (self.writer.written > 0).nonzero().flatten()
        drawn = with_data[torch.randperm(len(with_data), generator=self.generator)[:tasks]]
        sources = self._sources(drawn, with_data)
        self.transition_sampler.tasks = self.context_sampler.tasks = sources
        storage = self.buffer.storage
        stored = storage.get(slice(None))  # not copied
        index, where = self.transition_sampler.sample(storage, transitions)
        steps = where["left"].clamp_max(self.n_steps)  # the episode may end before
        agent = torch.randint(stored["reward"].shape[-1], index.shape, generator=self.generator)
        ahead = torch.arange(self.n_steps).expand(*index.shape, -1)
        in_episode = ahead < steps.unsqueeze(-1)
        window = index.unsqueeze(-1) + torch.where(in_episode, ahead, 0)
        rewards = self._paid(stored, "training_reward", window, drawn, sources) * in_episode.unsqueeze(-1)

        def of_agent(values: Tensor) -> Tensor:  # [task, transition, agent, ...] -> [task, transition, ...]
            chosen = agent.reshape(*agent.shape, *[1] * (values.ndim - 2)).expand(*agent.shape, 1, *values.shape[3:])
            return values.gather(2, chosen).squeeze(2)

        batch = TensorDict(
            {
                "observation": of_agent(stored["observation"][index]),
                "action": of_agent(stored["action"][index]),
                "reward": of_agent(rewards.transpose(2, 3)),
                "next_observation": of_agent(stored["observation"][index + steps]),
                "steps": steps,
                "terminated": stored["terminated"][index + steps - 1],
                "agent": agent,
            },
            batch_size=index.shape,
        )
        context_index, diagnostics = self.context_sampler.sample(storage, context_episodes)
        context = stored.select("observation", "action")[context_index]
        context["reward"] = self._paid(stored, "reward", context_index, drawn, sources)
        meta_batch = TensorDict({"transitions": batch, "context": context}, batch_size=[len(drawn)])
        if self.descriptors is not None:
            meta_batch["descriptor"] = self.descriptors[drawn]
        return meta_batch, diagnostics

    def _sources(self, tasks: Tensor, with_data: Tensor) -> Tensor:
        """The task whose data each of ``tasks`` is given; mostly its own."""
        if not self.relabelled:
            return tasks
        others = with_data[torch.randint(len(with_data), tasks.shape, generator=self.generator)]
        is_given = torch.rand(tasks.shape, generator=self.generator) < self.relabelled
        return torch.where(is_given, others, tasks)

    def _paid(self, stored: TensorDictBase, name: str, index: Tensor, tasks: Tensor, sources: Tensor) -> Tensor:
        """The rewards called ``name`` ``[task, ..., agent]`` of rows that lie in ``sources``, as ``tasks`` pay them."""
        paid: Tensor = stored[name][index]
        if torch.equal(tasks, sources):
            return paid
        assert self.event_weights is not None
        weights = self.event_weights[tasks]
        weights = weights.reshape(len(tasks), *[1] * (index.ndim - 1), *weights.shape[1:])
        is_other = (tasks != sources).reshape(-1, *[1] * index.ndim)
        return torch.where(is_other, (stored["events"][index] * weights).sum(dim=-1), paid)

    def save(self, folder: Path) -> None:
        """Write the stored rows as memory-maps and the bookkeeping as tensors into a new folder.

        Raises:
            OSError: The disk has no room for them.
        """
        folder.mkdir(parents=True)
        torch.save(self.writer.state_dict() | {"generator": self.generator.get_state()}, folder / "index.pt")
        if len(self):
            rows = self.buffer.storage.get(slice(self.writer.used * self.writer.rows))
            free = shutil.disk_usage(folder).free
            if rows.bytes() >= free:  # writing to a memory-map on a full disk would end the process by SIGBUS
                raise OSError(f"No space left on device: the replay needs {rows.bytes()} bytes, {free} are free")
            rows.memmap(str(folder / "rows"))

    def load(self, folder: Path) -> None:
        """Take in what ``save`` wrote; nothing is unpickled."""
        state = torch.load(folder / "index.pt", weights_only=True)
        generator = state.pop("generator")
        self.writer.load_state_dict(state)
        self.generator.set_state(generator)
        if len(self):
            rows = TensorDict.load_memmap(str(folder / "rows"))
            self.buffer.storage.set(torch.arange(len(rows)), rows)
