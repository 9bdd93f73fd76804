"""Our agent server, as a game sees it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from agent_servers import PATIENCE, Game, our_server, until
from fake_backend import random_observations
from tensordict import TensorDict
from torch.nn.functional import one_hot
from websockets.exceptions import ConnectionClosed
from websockets.legacy.client import connect

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.sac import HybridSAC
from pearl_lightning.derk.backends.game.agent_server import AgentServer
from pearl_lightning.derk.interface import ACTION_SPACE, EPISODE_STEPS, OBSERVATION_FEATURES, OBSERVATION_KEYS
from pearl_lightning.derk.remote_player import RemotePlayer
from pearl_lightning.inference.belief import BeliefConfig, GaussianBelief
from pearl_lightning.inference.context import ContextLayout
from pearl_lightning.inference.encoders import GaussianProductEncoder
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble

TEAMS, STEPS = 2, 5


class Recorder:
    """A player whose first number of an action is the observation's first; it keeps what it is told."""

    def __init__(self, session: int, teams: int) -> None:
        self.session, self.teams, self.ends = session, teams, 0
        self.observations: list[np.ndarray] = []
        self.rewards: list[np.ndarray] = []
        self.following: list[np.ndarray] = []

    def act(self, observation: np.ndarray) -> np.ndarray:
        self.observations.append(observation)
        action = np.zeros((self.teams, 3, 5), np.float32)
        action[..., 0] = observation[..., 0]
        return action

    def observe(self, reward: np.ndarray, next_observation: np.ndarray) -> None:
        self.rewards.append(reward)
        self.following.append(next_observation)

    def end(self) -> None:
        self.ends += 1


def episode(seed: int, steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """Observations ``[step + 1, agent, 64]`` and rewards ``[step, agent]``."""
    generator = torch.Generator().manual_seed(seed)
    observations = random_observations(steps + 1, 3 * TEAMS, generator=generator)
    return observations.numpy(), torch.randn(steps, 3 * TEAMS, generator=generator).numpy()


@pytest.fixture
def players() -> list[Any]:
    return []


def kept(players: list[Any], make: Callable[[int, int], Any] = Recorder) -> Callable[[int, int], Any]:
    """Makes players and keeps them."""

    def make_player(session: int, teams: int) -> Any:
        players.append(make(session, teams))
        return players[-1]

    return make_player


def test_a_player_sees_plays_and_is_paid_what_the_game_says(players: list[Recorder]) -> None:
    async def play(address: str) -> list[np.ndarray]:
        game = await Game.join(address, TEAMS)
        actions = [await game.episode(*episode(seed)) for seed in (0, 1)]
        await game.websocket.close()
        return actions

    with our_server(kept(players)) as (address, told):
        actions = asyncio.run(play(address))
        until(lambda: len(told) == 4)
    (player,) = players
    assert (player.teams, player.ends) == (TEAMS, 2)
    for seed, played in enumerate(actions):
        observations, rewards = episode(seed)
        seen = np.stack(player.observations[seed * STEPS :][:STEPS]).reshape(STEPS, 3 * TEAMS, 64)
        paid = np.stack(player.rewards[seed * STEPS :][:STEPS]).reshape(STEPS, 3 * TEAMS)
        following = np.stack(player.following[seed * STEPS :][:STEPS]).reshape(STEPS, 3 * TEAMS, 64)
        np.testing.assert_array_equal(seen, observations[:-1])
        np.testing.assert_array_equal(following, observations[1:])
        np.testing.assert_array_equal(paid, rewards)
        np.testing.assert_array_equal(played[..., 0], observations[:-1, :, 0])
        assert told[1 + seed] == f"session 1: episode {seed}: return {rewards.sum() / TEAMS:.2f}, 0 of 2 won"
    assert told[0] == "session 1: 2 teams"
    assert told[3] == "session 1: the game disconnected after 2 episodes"


async def _served_episode(address: str) -> np.ndarray:
    game = await Game.join(address, TEAMS)
    actions = await game.episode(*episode(0))
    await game.observe(episode(1)[0][0])  # the first action of the next episode comes after the belief's update
    await game.action()
    await game.websocket.close()
    return actions


def small_agent(features: int = OBSERVATION_FEATURES, **settings: Any) -> PEARL:
    torch.manual_seed(0)
    return PEARL(
        features,
        ACTION_SPACE,
        encoder=partial(GaussianProductEncoder, latent_dim=3, hidden=(16,)),
        belief=BeliefConfig(**settings),
        sac=partial(HybridSAC, actor=partial(Actor, hidden=(16,)), critic=partial(CriticEnsemble, hidden=(16,))),
    ).eval()


def posterior(player: RemotePlayer) -> tuple[torch.Tensor, torch.Tensor]:
    """Belief of a player about each team."""
    posterior = player.player.belief.posterior()
    assert posterior is not None
    return posterior


def test_after_an_episode_the_belief_of_each_team_is_that_of_what_it_saw_did_and_got(
    players: list[RemotePlayer],
) -> None:
    agent = small_agent(context=ContextLayout(next_observation=True))
    with our_server(kept(players, lambda session, teams: RemotePlayer(agent, teams))) as (address, told):
        actions = torch.from_numpy(asyncio.run(_served_episode(address)))
        until(lambda: told[-1].endswith("disconnected after 1 episodes"))
    observations, rewards = map(torch.from_numpy, episode(0))
    choices = [one_hot(actions[..., 3 + i].long(), n).float() for i, n in enumerate((4, 8))]
    change = observations.diff(dim=0)
    features = torch.cat([change, observations[:-1], actions[..., :3], *choices, rewards.unsqueeze(-1)], dim=-1)
    by_team = features.unflatten(1, (TEAMS, 3)).transpose(0, 1).flatten(1, 2)  # [team, transition, feature]
    with torch.no_grad():
        expected = agent.encoder(by_team)
    for served, alone, prior in zip(posterior(players[0]), expected, agent.prior(TEAMS).posterior(), strict=True):
        torch.testing.assert_close(served, alone)
        assert not torch.allclose(served[0], served[1])
        assert not torch.allclose(served, prior)


def test_a_new_session_starts_from_the_prior(players: list[RemotePlayer]) -> None:
    agent = small_agent()

    async def play(address: str) -> None:
        await _served_episode(address)
        game = await Game.join(address, TEAMS)
        await game.observe(episode(1)[0][0])
        await game.action()
        await game.websocket.close()

    with our_server(kept(players, lambda session, teams: RemotePlayer(agent, teams))) as (address, _):
        asyncio.run(play(address))
    old, new = players
    for adapted, fresh, prior in zip(posterior(old), posterior(new), agent.prior(TEAMS).posterior(), strict=True):
        assert torch.equal(fresh, prior)
        assert not torch.allclose(adapted, prior)


class Watched:
    """A small agent that keeps what it was shown, and the z that it acted on."""

    def __init__(self, agent: PEARL) -> None:
        self.agent, self.prior = agent, agent.prior
        self.observe_every, self.resample_every = agent.observe_every, agent.resample_every
        self.shown: list[torch.Tensor] = []
        self.z: list[torch.Tensor] = []

    def act(self, observation: torch.Tensor, condition: torch.Tensor, *options: Any) -> torch.Tensor:
        self.shown.append(observation)
        self.z.append(condition)
        return self.agent.act(observation, condition, *options)


def played(player: RemotePlayer, steps: int = STEPS) -> np.ndarray:
    """An episode, without a server; the observations ``[step, team, agent, 64]``."""
    observations, rewards = episode(0, steps)
    observations = observations.reshape(-1, TEAMS, 3, 64)
    for step, reward in enumerate(rewards.reshape(-1, TEAMS, 3)):
        player.act(observations[step])
        player.observe(reward, observations[step + 1])
    player.end()
    return observations[:-1]


def test_an_agent_of_the_blind_loadouts_is_not_shown_items() -> None:
    agent = Watched(small_agent())
    observations = torch.from_numpy(played(RemotePlayer(agent, TEAMS, masks_items=True)))
    flags = torch.tensor(["Has" in key and key != "HasFocus" for key in OBSERVATION_KEYS])
    assert flags.sum() == 30
    shown = torch.stack(agent.shown)
    assert not shown[..., flags].any()
    assert observations[..., flags].any()  # and the game's own are left alone
    assert torch.equal(shown[..., ~flags], observations[..., ~flags])


def test_an_agent_that_observes_the_time_is_told_what_is_left() -> None:
    agent = Watched(small_agent(OBSERVATION_FEATURES + 1))
    played(RemotePlayer(agent, TEAMS, horizon=EPISODE_STEPS), EPISODE_STEPS)
    left = torch.stack(agent.shown)[..., -1]
    expected = 1 - torch.arange(EPISODE_STEPS) / EPISODE_STEPS
    torch.testing.assert_close(left, expected.view(-1, 1, 1).expand_as(left))


@pytest.mark.parametrize("masks_items", [False, True])
def test_the_belief_reads_what_the_agent_is_shown_in_each_episode(masks_items: bool) -> None:
    """Without items if it is blind, with the time left, until the last observation."""
    agent = small_agent(OBSERVATION_FEATURES + 1, context=ContextLayout(next_observation=True))
    player = RemotePlayer(agent, TEAMS, masks_items=masks_items, horizon=STEPS)
    given: list[TensorDict] = []
    observe = GaussianBelief.observe
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GaussianBelief, "observe", lambda self, steps: given.append(steps) or observe(self, steps))
        for _ in range(2):
            played(player)
    observations = torch.from_numpy(episode(0)[0]).reshape(-1, TEAMS, 3, 64).transpose(0, 1)
    hidden = torch.tensor([masks_items and "Has" in key and key != "HasFocus" for key in OBSERVATION_KEYS])
    left = 1 - torch.arange(STEPS + 1) / STEPS
    for steps in given:
        assert steps["done"].tolist() == [[False] * (STEPS - 1) + [True]] * TEAMS
        for name, shift in (("observation", 0), ("next_observation", 1)):
            seen, rows = steps[name], slice(shift, shift + STEPS)
            assert torch.equal(seen[..., :64], torch.where(hidden, 0.0, observations[:, rows]))
            torch.testing.assert_close(seen[..., 64], left[rows].view(1, -1, 1).expand(TEAMS, STEPS, 3))


@pytest.mark.parametrize(
    ("settings", "draws"), [({}, 1), ({"resample_every": 2}, 3), ({"observe_every": 2}, 3), ({"observe_every": 5}, 1)]
)
def test_z_is_drawn_as_often_as_the_agent_was_trained_to(settings: dict[str, int], draws: int) -> None:
    agent = Watched(small_agent(**settings))
    played(RemotePlayer(agent, TEAMS, generator=torch.Generator().manual_seed(0)))
    assert len({tuple(z.flatten().tolist()) for z in agent.z}) == draws


OBSERVATION = bytes(4 * 64 * 3 * TEAMS)
WRONG: dict[str, tuple[list[bytes | str], str]] = {
    "no teams": (["hello"], "after 0 episodes: the message must be a JSON object with nTeams, got 'hello'"),
    "a list": (["[1]"], "the message must be a JSON object with nTeams"),
    "half a team": (['{"nTeams": 0.5}'], "nTeams must be a whole number, got 0.5"),
    "too many": (['{"nTeams": 1000000000000}'], "nTeams must be in [1, 4096], got 1000000000000"),
    "short": (['{"nTeams": 2}', b"1234"], "observation must be 384 float32 numbers (1536 bytes), got 4 bytes"),
    "text": (['{"nTeams": 2}', "observe"], "observation must be 384 float32 numbers (1536 bytes), got the text"),
    "nan": (
        ['{"nTeams": 2}', np.full(384, np.nan, "<f4").tobytes()],
        "observation must be finite, got a NaN or infinity for agent 0 of team 0",
    ),
    "a reset in mid-episode": (
        ['{"nTeams": 2}', OBSERVATION, OBSERVATION, OBSERVATION],
        "reward must be 6 float32 numbers (24 bytes), got 1536 bytes",
    ),
    "not done": (
        ['{"nTeams": 2}', OBSERVATION, OBSERVATION, bytes(24), '{"done": []}'],
        "done must be a list of at least one truth value, got []",
    ),
    "endless": (
        ['{"nTeams": 2}', OBSERVATION, *[OBSERVATION, bytes(24), '{"done": [false]}'] * 3],
        "in step 3 of episode 0: an episode must end within 3 steps, got a longer one",
    ),
    "no statistics": (
        ['{"nTeams": 2}', OBSERVATION, OBSERVATION, bytes(24), '{"done": [true]}', bytes(24)],
        "statistics must be 10 float32 numbers (40 bytes), got 24 bytes",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_the_protocol_gives_one_line_and_ends_that_session_only(case: str, players: list[Recorder]) -> None:
    messages, complaint = WRONG[case]

    async def play(address: str) -> tuple[int, str]:
        other = await Game.join(address, TEAMS)
        await other.observe(episode(0)[0][0])
        await other.action()
        websocket = await connect(address)
        for message in messages:
            await websocket.send(message)
        await asyncio.wait_for(websocket.wait_closed(), PATIENCE)
        await other.step(*(part[0] for part in episode(1)), done=True)
        assert len(await other.episode(*episode(2, 3))) == 3  # plays on
        await other.websocket.close()
        return websocket.close_code, websocket.close_reason

    with our_server(kept(players), longest_episode=3) as (address, told):
        code, reason = asyncio.run(play(address))
        until(lambda: any(line.endswith("disconnected after 2 episodes") for line in told))
    (line,) = (line for line in told if line.startswith("session 2: closed"))
    assert complaint in line
    assert code == 1003
    assert reason
    assert reason in line


def test_a_game_that_disappears_in_mid_episode_ends_its_own_session_only(players: list[Recorder]) -> None:
    async def play(address: str) -> None:
        lost, other = [await Game.join(address, TEAMS) for _ in range(2)]
        for game in (lost, other):
            await game.observe(episode(0)[0][0])
            await game.action()
            await game.step(*(part[0] for part in episode(1)), done=False)
            await game.action()
        lost.websocket.transport.abort()
        await other.step(*(part[0] for part in episode(1)), done=True)
        assert len(await other.episode(*episode(2))) == STEPS
        await other.websocket.close()

    with our_server(kept(players)) as (address, told):
        asyncio.run(play(address))
        until(lambda: "session 2: the game disconnected after 2 episodes" in told)
        until(lambda: "session 1: the game disconnected in step 1 of episode 0" in told)
    assert [player.ends for player in players] == [0, 2]


def test_a_player_that_fails_ends_its_own_session_with_a_line(players: list[Recorder]) -> None:
    class Failing(Recorder):
        def act(self, observation: np.ndarray) -> np.ndarray:
            raise ZeroDivisionError("a bug")

    async def play(address: str) -> None:
        game = await Game.join(address, TEAMS)
        await game.observe(episode(0)[0][0])
        with pytest.raises(ConnectionClosed):
            await game.action()

    with our_server(kept(players, Failing)) as (address, told):
        asyncio.run(play(address))
        assert told[-1] == "session 1: failed after 0 episodes: ZeroDivisionError: a bug"


def test_whoever_speaks_no_websocket_is_sent_away_in_silence(
    players: list[Recorder], capfd: pytest.CaptureFixture[str]
) -> None:
    with our_server(kept(players)) as (address, told):
        host, port = address.removeprefix("ws://").split(":")
        for words in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00\x01\r\n\r\n", b""):
            with socket.create_connection((host, int(port)), timeout=PATIENCE) as visitor:
                visitor.sendall(words)
                visitor.shutdown(socket.SHUT_WR)
                while visitor.recv(4096):
                    pass
        asyncio.run(_served_episode(address))
    assert told[0] == "session 1: 2 teams"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match=rf"port must be in \[0, 65535\], got {port}"):
        AgentServer(Recorder, port=port)
