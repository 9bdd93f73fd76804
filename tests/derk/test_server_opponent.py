"""Somebody else's agent server as an opponent, gym-derk's own server being the other end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from agent_servers import DerkSession, gym_derk_server, random_agent, until
from fake_backend import FakeBackend

from pearl_lightning.derk.actions import checked_team_actions
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.interface import ACTION_SPACE, EPISODE_STEPS
from pearl_lightning.derk.league import cross_table
from pearl_lightning.derk.opponents import make_opponent
from pearl_lightning.derk.opponents.idle import IdleOpponent
from pearl_lightning.derk.opponents.server import ServerOpponent
from pearl_lightning.derk.tasks import DerkTask, DerkTasks, LoadoutTasks, OpponentTasks
from pearl_lightning.envs.meta_env import EpisodeLost
from pearl_lightning.experience.player import FunctionPlayer
from pearl_lightning.experience.rollout import play_episode

EMPTY = ((None,) * 3,) * 3


class TwoOpponents(DerkTasks):
    """A task against an idle team, and one against another."""

    def __init__(self, other: str) -> None:
        self.train = [
            DerkTask(home_loadouts=EMPTY, away_loadouts=EMPTY, opponent=opponent) for opponent in ("idle", other)
        ]
        self.test = []


class Notes:
    """An agent that records its sessions; its actions count its steps."""

    def __init__(self) -> None:
        self.teams: list[int] = []
        self.observations: list[np.ndarray] = []
        self.rewards: list[np.ndarray] = []
        self.statistics: list[np.ndarray] = []
        self.wins: list[int] = []

    async def play(self, session: DerkSession) -> None:
        self.teams.append(session.n_teams)
        self.observations.append(await session.reset())
        while not session.done:
            action = np.zeros((session.n_agents, 5))
            action[:, 0] = np.arange(session.n_agents) / 100
            observation, reward, _, _ = await session.step(action)
            self.observations.append(observation)
            self.rewards.append(reward)
        self.statistics.append(session.team_stats)
        self.wins.append(int(session.episode_stats["wins"]))
        await session.reset()


def walk(env: DerkEnv) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """Everybody walks at a speed of their own."""
    action = torch.zeros(env.arenas, 3, 5)
    action[..., 0] = -torch.rand(env.arenas, 3, generator=torch.Generator().manual_seed(0))
    return lambda observation, step: action


@pytest.mark.parametrize("side", ["home", "away"])
def test_the_server_sees_its_teams_plays_them_and_is_told_what_they_got(side: Literal["home", "away"]) -> None:
    notes, backend = Notes(), FakeBackend(arenas=3, team_rewards=[[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    with gym_derk_server(notes.play) as address:
        env = DerkEnv(arenas=3, tasks=TwoOpponents(f"server:{address}"), backend=backend, side=side)
        env.set_tasks([1, 0, 1])  # the server plays the first and the last arena
        play_episode(env, FunctionPlayer(walk(env)))
        until(lambda: notes.wins)
        env.close()
    theirs = 1 if side == "home" else 0
    actions = torch.stack(backend.actions)[:, theirs]  # [step, arena, agent, 5]
    again, seen = FakeBackend(arenas=3), []
    seen.append(again.reset(backend.tasks, backend.seeds[0]))
    seen += [again.step(action)[0] for action in backend.actions]
    views = torch.stack(seen)[:, theirs, [0, 2]].flatten(1, 2)  # [step + 1, agent, 64]
    assert notes.teams == [2]
    np.testing.assert_array_equal(np.stack(notes.observations), views.numpy())
    expected = torch.arange(6).view(2, 3) / 100
    torch.testing.assert_close(actions[..., [0, 2], :, 0], expected.expand(EPISODE_STEPS, 2, 3))
    assert not actions[:, 1].any()
    np.testing.assert_allclose(np.stack(notes.rewards), expected.flatten().expand(EPISODE_STEPS, 6))
    rewards = torch.tensor(backend.team_rewards)[theirs][[0, 2]]
    np.testing.assert_array_equal(notes.statistics[0][:, 0], rewards)
    assert notes.wins == [1]


def test_every_episode_is_a_session_of_its_own() -> None:
    notes = Notes()
    with gym_derk_server(notes.play) as address:
        tasks = TwoOpponents(f"server:{address}")
        env = DerkEnv(arenas=3, tasks=tasks, backend=FakeBackend(arenas=3, lose_at_step=4))
        for plan in ([1, 0, 1], [0, 0, 0], [1, 1, 1]):
            env.set_tasks(plan)
            play_episode(env, FunctionPlayer(walk(env)))  # the first is lost in mid-episode, and played again
        until(lambda: len(notes.statistics) == 2)
        env.close()
    assert notes.teams == [2, 2, 3]
    assert len(notes.statistics) == 2


def test_a_random_agent_of_gym_derks_plays_in_the_simulator() -> None:
    """The server's units move although ours stand still, so their places differ from those of idle units."""
    with gym_derk_server(random_agent) as address:
        tasks = TwoOpponents(f"server:{address}")
        env = DerkEnv(arenas=2, tasks=tasks, backend_options={"threads": 1, "episode_ticks": 160})
        env.set_tasks([0, 1])
        for _ in range(2):
            play_episode(env, FunctionPlayer(lambda observation, step: torch.zeros(2, 3, 5)))
            moved = env._backend.state()["velocity"][:, 5:].abs().sum(dim=(1, 2))  # type: ignore[union-attr]
            assert moved[0] < 1e-3 < moved[1]
        env.close()


def test_a_league_tells_a_server_what_it_got() -> None:
    notes, backend = Notes(), FakeBackend(arenas=2, team_rewards=[[1.0, 1.0], [0.0, 0.0]])
    tasks = list(LoadoutTasks(train_tasks=2, test_tasks=0).train)
    with gym_derk_server(notes.play) as address:
        players = {"other": IdleOpponent(), "server": make_opponent(f"server:{address}")}
        cross_table(backend, tasks, players, matches=1)
        until(lambda: notes.statistics)
    assert notes.teams == [2]  # once at home and once away
    assert sorted(notes.statistics[0][:, 0]) == [0.0, 1.0]
    assert len(notes.rewards) == EPISODE_STEPS


def test_a_family_can_name_a_server_among_the_styles() -> None:
    address = "server:ws://127.0.0.1:8789"  # nobody is asked before a match begins
    tasks = OpponentTasks(styles=["idle", address], new_styles=[], train_tasks=4, test_tasks=0)
    assert [task.opponent for task in tasks.train] == ["idle", address] * 2
    DerkEnv(arenas=2, tasks=tasks, backend=FakeBackend(arenas=2)).close()


@pytest.mark.parametrize("address", ["8789", "http://127.0.0.1:8789", "ws://", "127.0.0.1:8789"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="server must be an address like ws://127.0.0.1:8789, got"):
        make_opponent(f"server:{address}")
    with pytest.raises(ValueError, match="timeout must be above 0 s, got 0"):
        ServerOpponent("ws://127.0.0.1:8789", timeout=0)


def ask(address: str, calls: int = 1) -> torch.Tensor:
    """Actions of a server, at the start and after a step."""
    opponent = ServerOpponent(address, timeout=1.0)
    generator = torch.Generator()
    opponent.begin(2, generator)
    try:
        for _ in range(calls):
            action = opponent(torch.zeros(2, 3, 64), generator)
            opponent.follow(torch.zeros(2, 3, 64), torch.zeros(2, 3), None)
    finally:
        opponent.close()
    return action


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:  # but nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"ws://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EpisodeLost, match=f"there is no agent server at {address}: .*Connect call failed"):
            ask(address)


def test_a_listener_that_is_no_server_is_noticed_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(EpisodeLost, match=f"the agent server {address} did not answer within 1 s"):
            ask(address)


async def hang(session: DerkSession) -> None:
    await session.reset()
    await asyncio.sleep(3600)


async def crash(session: DerkSession) -> None:
    await session.reset()
    raise ZeroDivisionError


def sends(action: Any) -> Callable[[DerkSession], Awaitable[None]]:
    async def handle(session: DerkSession) -> None:
        await session.reset()
        await session.step(np.asarray(action))

    return handle


def with_entry(value: float, key: int) -> np.ndarray:
    action = np.zeros((6, 5))
    action[4, key] = value
    return action


@pytest.mark.parametrize(
    ("handle", "error", "message"),
    [
        (hang, EpisodeLost, "did not answer within 1 s"),
        (crash, EpisodeLost, "ended the session"),
        (sends(np.zeros((3, 5))), ValueError, r"action must be 30 float32 numbers \(120 bytes\), got 60 bytes"),
        (
            sends(with_entry(np.nan, 1)),
            ValueError,
            r"action\[arena=1, agent=1, Rotate\] must be finite, got nan",
        ),
        (sends(with_entry(1.5, 2)), ValueError, r"action\[arena=1, agent=1, ChaseFocus\] must be in \[0, 1\], got 1.5"),
        (
            sends(with_entry(8, 4)),
            ValueError,
            r"action\[arena=1, agent=1, ChangeFocus\] must be a whole number from 0 to 7, got 8",
        ),
    ],
)
def test_what_a_server_does_wrong_is_named(
    handle: Callable[[DerkSession], Awaitable[None]], error: type[Exception], message: str
) -> None:
    with gym_derk_server(handle) as address, pytest.raises(error, match=message) as raised:
        ask(address)
    assert address in str(raised.value)


def test_the_next_episode_asks_a_server_anew_that_left_the_last() -> None:
    sessions = []

    async def crash_once(session: DerkSession) -> None:
        sessions.append(session)
        await (crash if len(sessions) == 1 else Notes().play)(session)

    with gym_derk_server(crash_once) as address:
        env = DerkEnv(arenas=1, tasks=TwoOpponents(f"server:{address}"), backend=FakeBackend(arenas=1))
        env.set_tasks([1])
        play_episode(env, FunctionPlayer(walk(env)))
        env.close()
    assert len(sessions) == 2


def test_actions_of_one_team_are_checked_as_those_of_both() -> None:
    legal = ACTION_SPACE.sample((4, 3), torch.Generator().manual_seed(0))
    assert torch.equal(checked_team_actions(legal), legal)
