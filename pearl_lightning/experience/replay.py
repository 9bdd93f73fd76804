"""Replay with a task axis: it draws meta-batches from one TorchRL buffer."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import LazyTensorStorage, ReplayBuffer

from pearl_lightning.experience.finite import is_finite
from pearl_lightning.experience.samplers import RecentContextSampler, TaskWriter, TransitionSampler
from pearl_lightning.inference.steps import steps_of
from pearl_lightning.randomness import restore_generator


def nothing_collected(collector: str | None) -> str:
    """Error message of a run without data to learn from; it names the collector that the data module needs."""
    needed = f"set collector to {collector}" if collector else "set collector to the one that the data need"
    return f"nothing was collected to learn from, because no collector fills the data: {needed}"


class TaskReplay:
    """Episodes of all train tasks in one TorchRL buffer with two samplers (Rakelly et al. 2019, sec. 4.3).

    The memory of a full replay is reserved at the first episode; on the CPU, most systems provide it as it is used.
    Each observation is stored once: the next observation of a transition is in
    the row after it.

    Args:
        tasks: Number of train tasks.
        episodes_per_task: Number of episodes kept per task.
        horizon: Number of steps in an episode.
        recent_context: Number of a task's last context episodes that the encoder may read.
        generator: Generator that draws tasks, transitions and context, on ``device``.
        shape_generator: Generator on the CPU that draws the numbers that decide shapes, such as that of context
            episodes. The replay only saves and restores it.
        relabelled: Share of a meta-batch's tasks that learn from another task's episodes, with the rewards of their own
            task: hindsight relabelling (Li et al. 2020, "Generalized hindsight"), here of the context too.
        event_weights: Reward of each task for each event ``[task, agent, event]``; required for relabelling. Episodes
            must then contain ``events``.
        n_steps: Number of rewards summed before the critics' estimate (n-step returns).
        descriptors: Descriptor of each task ``[task, number]``; if given, meta-batches contain it.
        device: Device on which episodes are stored and drawn. A draw never waits for a GPU.
        keep_shapes: Whether an episode that is cut off keeps its number of steps, with the rest as padding, so that
            meta-batches have few shapes. Each shape needs a CUDA graph of its own.
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
        device: torch.device | str = "cpu",
        shape_generator: torch.Generator | None = None,
        keep_shapes: bool = False,
    ) -> None:
        _check_positive(
            tasks=tasks, episodes_per_task=episodes_per_task, recent_context=recent_context, n_steps=n_steps
        )
        if not 0 <= relabelled <= 1:
            raise ValueError(f"relabelled must be in [0, 1], got {relabelled}")
        if relabelled and event_weights is None:
            raise ValueError(f"relabelled must be 0 without event_weights, got {relabelled}")
        self.device, self.generator = torch.device(device), generator
        self.relabelled, self.n_steps, self.keep_shapes = relabelled, n_steps, keep_shapes
        self.shape_generator = torch.Generator() if shape_generator is None else shape_generator
        self.event_weights = None if event_weights is None else event_weights.to(device)
        self.descriptors = None if descriptors is None else descriptors.to(device)
        self.writer = TaskWriter(tasks, episodes_per_task, horizon + 1, device)
        self.transition_sampler = TransitionSampler(self.writer, generator)
        self.context_sampler = RecentContextSampler(self.writer, generator, recent_context)
        self.buffer = ReplayBuffer(
            storage=LazyTensorStorage(tasks * episodes_per_task * (horizon + 1), device=self.device),
            sampler=self.transition_sampler,
            writer=self.writer,
            batch_size=1,
        )

    def __len__(self) -> int:
        """Number of stored environment steps."""
        return int(self.writer.length.sum())

    def extend(self, episodes: TensorDictBase, is_context: bool, update: int = 0) -> None:
        """Store whole episodes.

        Args:
            episodes: Result of ``play_episode``, ``[arena, row]``, of train tasks only.
            is_context: Whether the encoder may read the episodes.
            update: Update at which the episodes were played.

        Raises:
            ValueError: The number of rows is wrong, a task is not a train task, or a number is not finite.
        """
        if episodes.shape[1] != self.writer.rows:
            raise ValueError(f"episodes must have {self.writer.rows} rows, got {episodes.shape[1]}")
        lowest, highest = (int(bound) for bound in episodes["task"].aminmax())
        if lowest < 0 or highest >= self.writer.tasks:
            raise ValueError(f"only train tasks [0, {self.writer.tasks}) are stored, got [{lowest}, {highest}]")
        for name in ("observation", "action", "reward", "training_reward"):
            if not is_finite(episodes[name]):
                raise ValueError(f"episodes must be finite, but {name} is not")
        self.writer.count_from(update)
        stored = episodes.exclude("outcome").set("is_context", torch.full(episodes.shape, is_context))
        self.writer.extend(stored)

    def sample(
        self,
        tasks: int,
        transitions: int,
        context_episodes: int,
        update: int | None = None,
        beginning: int | None = None,
    ) -> tuple[TensorDict, dict[str, Tensor]]:
        """Draw a meta-batch.

        Args:
            tasks: Number of different tasks, drawn from those with episodes; all of them if there are fewer.
            transitions: Number of transitions per task, each of one agent.
            context_episodes: Number of context episodes per task.
            update: Update that uses the meta-batch; that of the last ``extend`` by default.
            beginning: Number of steps after which the last context episode is cut off; None to keep it whole.

        Returns:
            The meta-batch, and the diagnostic ``age``: the mean number of updates since the context was played. The
            meta-batch contains:

            - ``transitions`` ``[task, transition]``: observation, action, reward ``[..., step]``, steps (number of
                played steps), next_observation (after the last of them) and terminated (whether it was terminated).
            - ``context`` ``[task, episode, step]`` of whole episodes: observation, next_observation, action, reward and
                played, which is false for padding after the end of an episode; it is left out if there is no padding.
            - ``beginning`` ``[task, step]``: the same of one more episode, if ``beginning`` is given.
            - ``descriptor`` ``[task, number]``, if the tasks have descriptors.

        Raises:
            RuntimeError: There are no episodes, or no context episodes of a task.
        """
        if update is not None:
            self.writer.count_from(update)
        drawn, sources = self._draw_tasks(tasks)
        self.transition_sampler.tasks = self.context_sampler.tasks = sources
        batch = self._draw_transitions(transitions, drawn, sources)
        context, diagnostics = self._draw_context(context_episodes, drawn, sources)
        meta_batch = TensorDict({"transitions": batch, "context": context}, batch_size=[len(drawn)])
        if beginning is not None:
            meta_batch["context"], last = context[:, :-1], context[:, -1]
            meta_batch["beginning"] = _cut(last, beginning) if self.keep_shapes else last[:, :beginning]
        if self.descriptors is not None:
            meta_batch["descriptor"] = self.descriptors[drawn]
        return meta_batch, diagnostics

    def _draw_tasks(self, count: int) -> tuple[Tensor, Tensor]:
        """Tasks of a meta-batch ``[task]``, and the task whose episodes each of them reads: its own, or another one."""
        with_data = self.writer.tables.with_data
        if len(with_data) == 0:
            raise RuntimeError(nothing_collected("EpisodeCollector"))
        generator, device = self.generator, self.device
        tasks = with_data[torch.randperm(len(with_data), generator=generator, device=device)[:count]]
        if not self.relabelled:
            return tasks, tasks
        others = with_data[torch.randint(len(with_data), tasks.shape, generator=generator, device=device)]
        is_relabelled = torch.rand(tasks.shape, generator=generator, device=device) < self.relabelled
        return tasks, torch.where(is_relabelled, others, tasks)

    def _draw_transitions(self, count: int, tasks: Tensor, sources: Tensor) -> TensorDict:
        """Transitions ``[task, transition]`` over up to ``n_steps`` steps of one agent each."""
        stored = self._stored()
        index, where = self.transition_sampler.sample(self.buffer.storage, count)
        steps = where["left"].clamp_max(self.n_steps)  # fewer if the episode ends before
        agents = stored["reward"].shape[-1]
        agent = torch.randint(agents, index.shape, generator=self.generator, device=self.device)
        ahead = torch.arange(self.n_steps, device=self.device).expand(*index.shape, -1)
        in_episode = ahead < steps.unsqueeze(-1)
        window = index.unsqueeze(-1) + torch.where(in_episode, ahead, 0)
        # rows of one agent each, because a row of all agents is several times as long
        first, last = index * agents + agent, (index + steps) * agents + agent
        agent_rows = window * agents + agent.unsqueeze(-1)
        by_agent = {name: stored[name].flatten(0, 1) for name in ("observation", "action")}
        weights = None if self.event_weights is None else self.event_weights[tasks.unsqueeze(1), agent].unsqueeze(2)
        return TensorDict(
            {
                "observation": by_agent["observation"][first],
                "action": by_agent["action"][first],
                "reward": self._rewards("training_reward", agent_rows, weights, tasks != sources) * in_episode,
                "next_observation": by_agent["observation"][last],
                "steps": steps,
                "terminated": stored["terminated"][index + steps - 1],
            },
            batch_size=index.shape,
        )

    def _draw_context(self, episodes: int, tasks: Tensor, sources: Tensor) -> tuple[TensorDict, dict[str, Tensor]]:
        """Steps of whole context episodes ``[task, episode, step]``, and their age."""
        index, diagnostics = self.context_sampler.sample(self.buffer.storage, episodes)
        stored = self._stored()
        context = stored.select("observation", "action", "played")[index]
        agents = stored["reward"].shape[-1]
        agent_rows = index.unsqueeze(-1) * agents + torch.arange(agents, device=self.device)
        weights = None if self.event_weights is None else self.event_weights[tasks, None, None]
        context["reward"] = self._rewards("reward", agent_rows, weights, tasks != sources)
        steps = steps_of(context)
        return steps.exclude("played") if self.writer.tables.are_whole else steps, diagnostics

    def _stored(self) -> TensorDictBase:
        """All rows of the storage, not copied."""
        return self.buffer.storage.get(slice(None))

    def _rewards(self, name: str, agent_rows: Tensor, weights: Tensor | None, is_relabelled: Tensor) -> Tensor:
        """Rewards ``[task, ...]``; an episode of another task gets the rewards of its events in the task itself.

        Args:
            name: Name of the stored reward.
            agent_rows: Indices of the rewards of single agents ``[task, ...]``: row times number of agents plus agent.
            weights: Reward of each event in the task ``[task, ..., event]``; needed to relabel.
            is_relabelled: Whether the episodes are those of another task ``[task]``.
        """
        stored = self._stored()
        rewards: Tensor = stored[name].flatten()[agent_rows]
        if not self.relabelled or weights is None:
            return rewards
        event_rewards = (stored["events"].flatten(0, 1)[agent_rows] * weights).sum(dim=-1)
        return torch.where(is_relabelled.reshape(-1, *[1] * (agent_rows.ndim - 1)), event_rewards, rewards)

    def _generators(self) -> dict[str, torch.Generator]:
        return {"generator": self.generator, "shape_generator": self.shape_generator}

    def save(self, folder: Path) -> None:
        """Write the stored rows as memory-maps, and the state of the writer and the generator, to a new folder.

        Raises:
            OSError: The disk does not have enough free space.
        """
        folder.mkdir(parents=True)
        generators = {name: generator.get_state() for name, generator in self._generators().items()}
        torch.save(self.writer.state_dict() | generators, folder / "index.pt")
        if len(self):
            rows = self.buffer.storage.get(slice(self.writer.used * self.writer.rows))
            free = shutil.disk_usage(folder).free
            if rows.bytes() >= free:  # writing to a memory-map on a full disk would end the process by SIGBUS
                raise OSError(f"No space left on device: the replay needs {rows.bytes()} bytes, {free} are free")
            rows.cpu().memmap(str(folder / "rows"))

    def load(self, folder: Path) -> None:
        """Restore what ``save`` wrote; nothing is unpickled."""
        state = torch.load(folder / "index.pt", weights_only=True)
        if missing := {*self._generators(), "rows"} - state.keys():
            raise ValueError(f"{folder} must contain {', '.join(missing)}: another version of the library wrote it")
        generators = {name: state.pop(name) for name in self._generators()}
        self.writer.load_state_dict(state)
        for name, generator in self._generators().items():
            restore_generator(generator, generators[name], "the replay")
        if len(self):
            rows = TensorDict.load_memmap(str(folder / "rows"))
            if self.relabelled and "events" not in rows.keys():  # noqa: SIM118
                raise ValueError("the saved replay has no events: keep data.relabelled 0 to resume")
            self.buffer.storage.set(torch.arange(len(rows), device=self.device), rows.to(self.device))


def _cut(steps: TensorDictBase, number: int) -> TensorDictBase:
    """Episodes ``[task, step]`` whose steps after the first ``number`` are padding."""
    kept = (torch.arange(steps.shape[1], device=steps["reward"].device) < number).expand(steps.shape)
    cut = steps.clone(recurse=False)
    cut["reward"] = torch.where(kept.unsqueeze(-1), steps["reward"], 0.0)  # a stride may sum over the end
    cut["played"] = kept & steps["played"] if "played" in steps.keys() else kept  # noqa: SIM118
    return cut


def _check_positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
