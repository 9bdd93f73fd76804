"""The adaptation protocols: agents play held-out tasks, one episode after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor

from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.evaluation.belief_trace import BeliefTrace
from pearl_lightning.evaluation.beliefs import MisledBelief, TracedBelief
from pearl_lightning.evaluation.exploration import DeferredBelief, EpisodicAgent
from pearl_lightning.evaluation.result import AdaptationResult, ProtocolName
from pearl_lightning.experience.player import MetaAgent, Player
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.inference.belief import Belief

_SCORES = ("returns", "outcomes", "z_mean", "z_std")


def evaluate_adaptation(
    env: MetaEnv,
    agent: MetaAgent,
    tasks: Sequence[int],
    *,
    episodes: int = 3,
    matches: int = 1,
    deterministic: bool = True,
    protocol: ProtocolName = "adaptive",
    wrong_context: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> AdaptationResult:
    """Play each task ``matches`` times for ``episodes`` episodes, starting from the prior.

    In the protocol ``adaptive``, the belief is updated after each episode, or more often if the agent does so: in
    episode 0, z is sampled from the prior, and in each later episode from the posterior given all earlier episodes.

    The protocol ``pearl`` is that of the code published with Rakelly et al. 2019, which plays three episodes. All
    episodes but the last one explore: each has one sample of z from the prior. Then the belief is updated with all of
    them, and the last episode has one sample of z from the posterior. Its return is the result. The policy plays its
    mode in all episodes.

    The same seed gives the same initial states and samples. All random states, of the environment and global ones, are
    the same afterwards.

    Args:
        env: Environment. Its tasks and random state are restored afterwards, even after an error.
        agent: Agent that plays.
        tasks: Indices of the tasks to play, at least one.
        episodes: Number of episodes per match, at least 1; at least 2 in the protocol ``pearl``.
        matches: Number of independent adaptations per task, at least 1.
        deterministic: Whether to play the policy's mode instead of a sample; true in the protocol ``pearl``.
        protocol: ``adaptive`` or ``pearl``.
        wrong_context: Whether each belief observes the episodes of another task, of another kind if the family has
            kinds. This control must show no gain.
        seed: Seed of initial states and samples.
        progress: Function that is called with the number of finished episodes and the total number, at the start and
            whenever episodes end.

    Raises:
        ValueError: A number is below 1, an option contradicts the protocol, or all arenas play the same task with
            ``wrong_context``.
    """
    for name, value in (("episodes", episodes), ("matches", matches), ("tasks", len(tasks))):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    check_protocol(protocol, episodes, deterministic)
    saved_tasks, saved_state = env.next_tasks, env.random_state()
    try:
        env.set_seed(seed)
        settings = _Settings(
            episodes=episodes,
            matches=matches,
            deterministic=deterministic,
            protocol=protocol,
            wrong_context=wrong_context,
            seed=seed,
        )
        played, trace, env_steps = _play(env, agent, tasks, settings, progress or (lambda done, total: None))
    finally:
        env.load_random_state(saved_state)
        env.set_tasks(saved_tasks)
    shaped = {
        name: values.reshape(len(tasks), matches, episodes, *values.shape[2:]).double().cpu().numpy()
        for name, values in played.items()
    }
    return AdaptationResult(
        tasks=tuple(int(task) for task in tasks),
        returns=shaped["returns"],
        outcomes=shaped.get("outcomes"),
        z_mean=shaped["z_mean"],
        z_std=shaped["z_std"],
        env_steps=env_steps,
        statistics={name: values for name, values in shaped.items() if name not in _SCORES},
        trace=trace,
        kinds=tuple(env.tasks.kind(int(task)) for task in tasks),
        protocol=protocol,
    )


def check_protocol(protocol: ProtocolName, episodes: int, deterministic: bool) -> None:
    """Check that the options of an evaluation fit its protocol.

    Raises:
        ValueError: There is no such protocol, or an option contradicts it.
    """
    if protocol not in get_args(ProtocolName):
        raise ValueError(f"protocol must be {' or '.join(get_args(ProtocolName))}, got {protocol}")
    if protocol == "pearl" and episodes < 2:
        raise ValueError(f"episodes must be at least 2 in protocol pearl, whose last one is the result, got {episodes}")
    if protocol == "pearl" and not deterministic:
        raise ValueError("deterministic must be true in protocol pearl, which plays the policy's mode, got false")


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """Settings of ``evaluate_adaptation``."""

    episodes: int
    matches: int
    deterministic: bool
    protocol: ProtocolName
    wrong_context: bool
    seed: int


def _play(
    env: MetaEnv, agent: MetaAgent, tasks: Sequence[int], settings: _Settings, progress: Callable[[int, int], None]
) -> tuple[dict[str, Tensor], BeliefTrace | None, int]:
    """Play all matches; return scores and posteriors ``[match, episode, ...]``, the belief trace, and the steps."""
    generator, pairing = (torch.Generator().manual_seed(settings.seed) for _ in range(2))
    plan = torch.tensor(list(tasks)).repeat_interleave(settings.matches)
    total = len(plan) * settings.episodes
    rounds: list[TensorDict] = []
    traces: list[Tensor] = []  # mean and standard deviation [match, point, 2, latent]
    counts = np.zeros(1, dtype=np.int64)  # transitions read before each point
    env_steps = 0
    agent = EpisodicAgent(agent) if settings.protocol == "pearl" else agent
    progress(0, total)
    for first in range(0, len(plan), env.arenas):
        chunk = plan[first : first + env.arenas]
        filler = plan[torch.arange(env.arenas - len(chunk)) % len(plan)]  # idle arenas repeat tasks, uncounted
        env.set_tasks(torch.cat([chunk, filler]))
        belief = _first_belief(env, agent, settings, pairing)
        player = Player(agent, env.arenas, belief=belief, deterministic=settings.deterministic, generator=generator)
        played = []
        for episode in range(1, settings.episodes + 1):
            rows = play_episode(env, player)
            env_steps += int(rows["played"].sum())
            played.append(_scores(env, player, rows))
            progress(first * settings.episodes + episode * len(chunk), total)
        trace = cast(TracedBelief, player.belief)
        rounds.append(TensorDict.stack(_with_equal_names(played), dim=1)[: len(chunk)])
        traces.append(torch.stack(trace.posteriors, dim=1)[: len(chunk)])
        counts = np.maximum(counts, trace.counts)
    mean, std = torch.cat(traces).double().cpu().numpy().transpose(2, 0, 1, 3)
    trace_of_all = BeliefTrace(counts, mean, std) if mean.shape[-1] else None
    return dict(TensorDict.cat(_with_equal_names(rounds)).items()), trace_of_all, env_steps


def _with_equal_names(parts: Sequence[TensorDict]) -> list[TensorDict]:
    """Give all parts the same scores. A statistic that an environment reports in some episodes only is else NaN."""
    names = dict.fromkeys(name for part in parts for name in part.keys())  # noqa: SIM118
    unknown = [torch.full_like(part["returns"], torch.nan) for part in parts]
    return [
        TensorDict({name: part.get(name, nothing) for name in names}, batch_size=part.batch_size)
        for part, nothing in zip(parts, unknown, strict=True)
    ]


def _first_belief(env: MetaEnv, agent: MetaAgent, settings: _Settings, pairing: torch.Generator) -> TracedBelief:
    """The prior, with the updates of the settings."""
    belief: Belief = agent.prior(env.arenas)
    if settings.wrong_context:
        belief = MisledBelief(belief, _of_another_task(env, pairing))
    if settings.protocol == "pearl":
        belief = DeferredBelief(belief, settings.episodes - 1)
    return TracedBelief(belief, env.horizon)


def _scores(env: MetaEnv, player: Player, rows: TensorDict) -> TensorDict:
    """Return the scores of an episode that was just played, and the posteriors after it, ``[arena]``."""
    z_mean, z_std = cast(TracedBelief, player.belief).posteriors[-1].unbind(dim=1)
    scores = {"returns": rows["reward"].sum(dim=(1, 2)), "z_mean": z_mean.cpu(), "z_std": z_std.cpu()}
    if env.has_outcome:
        scores["outcomes"] = rows["outcome"][:, -1]
    return TensorDict(scores | env.episode_statistics(), batch_size=[env.arenas])


def _of_another_task(env: MetaEnv, generator: torch.Generator) -> Tensor:
    """Draw, for each arena, another arena with another task ``[arena]``.

    The task is of another kind if any arena plays one, because an episode of the same kind would be partly right.
    """
    tasks = env.next_tasks
    names = [env.tasks.kind(task) for task in tasks.tolist()]
    kinds = torch.tensor([names.index(name) for name in names])
    is_other, is_other_kind = tasks.unsqueeze(1) != tasks, kinds.unsqueeze(1) != kinds
    if not is_other.any(dim=1).all():
        raise ValueError(
            f"wrong_context needs two tasks side by side, got {int(tasks[0])} in all arenas: play fewer matches"
        )
    eligible = torch.where(is_other_kind.any(dim=1, keepdim=True), is_other_kind, is_other)
    return torch.multinomial(eligible.float(), 1, generator=generator).squeeze(1)
