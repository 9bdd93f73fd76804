"""Matches of the running game follow the measured rules of gym-derk 1.1.1 (the library contains none)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from pearl_lightning.derk.backends.game import GameBackend
from pearl_lightning.derk.interface import EPISODE_TICKS, ITEMS, observation_index
from pearl_lightning.derk.opponents.attacker import AttackerOpponent
from pearl_lightning.derk.tasks import DerkTask
from tests.derk.conftest import StartGame

pytestmark = pytest.mark.game

SEED = 11
SUBSTEPS = 40  # ticks per step: the game plays a match of few steps in two thirds of the time
STEPS = EPISODE_TICKS // SUBSTEPS
NO_BOUNTIES = {"killEnemyUnit": 0.0, "killEnemyStatue": 0.0}
HOME_TERRITORY = {**NO_BOUNTIES, "timeSpentHomeTerritory": 1.0}
FIGHT = DerkTask(  # guns and claws, and every hitpoint pays
    home_loadouts=[("Pistol", None, "Shell"), ("Blaster", "VampireGland", None), ("Cleavers", None, None)],
    away_loadouts=[("Magnum", None, None), ("Talons", "ParalyzingDart", None), (None, "HealingGland", "Trombone")],
    home_bounties={"damageEnemyUnit": 1.0},
    away_bounties={"damageEnemyUnit": 0.5},
)
STAY = DerkTask(
    home_loadouts=[("Talons", None, None), (None, "HealingGland", None), (None, None, "FrogLegs")],
    away_loadouts=[("Cripplers", None, None), ("BloodClaws", None, None), (None, None, None)],
    home_bounties=[HOME_TERRITORY, {**NO_BOUNTIES, "tie": 2.0}, NO_BOUNTIES],
    away_bounties=[NO_BOUNTIES, NO_BOUNTIES, {**NO_BOUNTIES, "timeSpentHomeTerritory": -0.5}],
)
STAY_OTHERWISE = DerkTask(
    home_loadouts=[(None, None, None), ("IronBubblegum", "Pistol", None), ("Trombone", None, None)],
    away_loadouts=[(None, "Shell", "HeliumBubblegum"), (None, None, None), ("Magnum", None, None)],
    home_bounties=[NO_BOUNTIES, {**HOME_TERRITORY, "timeScaling": 0.0}, NO_BOUNTIES],
    away_bounties=[NO_BOUNTIES, HOME_TERRITORY, NO_BOUNTIES],
)


@dataclass
class Match:
    """A whole match of both arenas.

    Args:
        observation: ``[step + 1, side, arena, agent, 64]``.
        action: ``[step, side, arena, agent, 5]``.
        reward: ``[step, side, arena, agent]``.
        team_stats: ``[side, arena, 5]``.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    team_stats: Tensor


def play(game: GameBackend, tasks: list[DerkTask], act: Callable[[int, Tensor], Tensor]) -> Match:
    observations, actions, rewards = [game.reset(tasks, SEED)], [], []
    for step in range(STEPS):
        actions.append(act(step, observations[-1]))
        observation, reward, done = game.step(actions[-1])
        observations.append(observation)
        rewards.append(reward)
        assert done == (step == STEPS - 1)
    return Match(torch.stack(observations), torch.stack(actions), torch.stack(rewards), game.team_stats())


@pytest.fixture(scope="module")
def game(start_game: StartGame) -> GameBackend:
    """Patient, because these tests state no times."""
    return start_game(arenas=2, substeps=SUBSTEPS, start_timeout=240.0, step_timeout=120.0)


@pytest.fixture(scope="module")
def match(game: GameBackend) -> Match:
    """Arena 0: all stand still. Arena 1: both teams attack."""
    attacker, generator = AttackerOpponent(), torch.Generator().manual_seed(0)

    def act(_: int, observation: Tensor) -> Tensor:
        action = torch.zeros(2, 2, 3, 5)
        action[:, 1] = attacker(observation[:, 1], generator)
        return action

    return play(game, [STAY, FIGHT], act)


@pytest.fixture(scope="module")
def rematch(game: GameBackend, match: Match) -> Match:
    """The same seed and actions in the same session; arena 0 has another task."""
    return play(game, [STAY_OTHERWISE, FIGHT], lambda step, _: match.action[step])


def sense(observation: Tensor, name: str) -> Tensor:
    return observation[..., observation_index(name)]


def steps_paid(reward: Tensor) -> dict[int, float]:
    """Steps, counted from 1, at which one agent ``[step]`` was paid, and how much."""
    return {int(step) + 1: float(reward[step]) for step in reward.nonzero().flatten()}


def test_the_same_seed_and_actions_give_the_same_match_bit_for_bit(match: Match, rematch: Match) -> None:
    assert float(match.reward[:, :, 1].sum()) > 100  # there was a fight
    assert torch.equal(match.observation[:, :, 1], rematch.observation[:, :, 1])
    assert torch.equal(match.reward[:, :, 1], rematch.reward[:, :, 1])
    assert torch.equal(match.team_stats[:, 1], rematch.team_stats[:, 1])


def test_other_tasks_between_episodes_take_effect_without_a_restart(game: GameBackend, rematch: Match) -> None:
    assert steps_paid(rematch.reward[:, 0, 0, 0]) == {}  # home agent 0 was paid before
    assert steps_paid(rematch.reward[:, 0, 0, 1]) == {8: 0.75, 15: 0.5, 23: 0.25}  # 1 - tick / 1200
    assert steps_paid(rematch.reward[:, 1, 0, 1]) == {8: 1.0, 15: 1.0, 23: 1.0}
    assert game.report()["restarts"] == 0


@pytest.mark.parametrize("which", ["match", "rematch"])
def test_every_agent_of_both_sides_carries_its_tasks_items(which: str, request: pytest.FixtureRequest) -> None:
    played = request.getfixturevalue(which)
    flags = played.observation[..., observation_index("HasTalons") :][..., : len(ITEMS)]  # [step, side, arena, agent]
    for arena, task in enumerate([STAY if which == "match" else STAY_OTHERWISE, FIGHT]):
        for side, loadouts in enumerate([task.home_loadouts, task.away_loadouts]):
            for agent, loadout in enumerate(loadouts):
                expected = torch.tensor([float(item in loadout) for item in ITEMS])
                assert bool((flags[:, side, arena, agent] == expected).all()), (side, arena, agent)


def test_each_creature_is_paid_by_its_own_bounties_at_the_games_moments(match: Match) -> None:
    """Territory pays at ticks 300, 600 and 900, in steps 8, 15 and 23; a tie at the end."""
    stay = match.reward[:, :, 0]  # [step, side, agent]
    assert steps_paid(stay[:, 0, 0]) == {8: 1.0, 15: 1.0, 23: 1.0}
    assert steps_paid(stay[:, 0, 1]) == {STEPS: 2.0}
    assert steps_paid(stay[:, 1, 2]) == {8: -0.5, 15: -0.5, 23: -0.5}
    for side, agent in ((0, 2), (1, 0), (1, 1)):
        assert steps_paid(stay[:, side, agent]) == {}


def test_team_stats_of_a_match_without_a_fight_are_those_of_the_rules(match: Match) -> None:
    """Four members live 1,199 ticks with 100 hitpoints."""
    expected = torch.tensor([[5.0, -1.5, 400.0, 4796.0, 479_600.0], [-1.5, 5.0, 400.0, 4796.0, 479_600.0]])
    assert torch.equal(match.team_stats[:, 0], expected)


def test_team_stats_sum_up_the_rewards_of_their_team(match: Match) -> None:
    total = match.reward.sum(dim=(0, 3))  # [side, arena]
    torch.testing.assert_close(match.team_stats[..., 0], total, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(match.team_stats[..., 1], total.flip(0), rtol=1e-5, atol=1e-4)


def test_teams_spawn_where_the_rules_say(match: Match) -> None:
    spawns = torch.tensor([[52.7, 58.4], [58.2, 58.2], [60.4, 54.8]])
    statue, statue_above_spawn, heading = 51.0, 3.31552 - 2.23807, math.pi / 4
    for side in range(2):  # the away team's senses mirror the world
        start = match.observation[0, side]
        left_right, up_down = sense(start, "PositionLeftRight"), sense(start, "PositionUpDown")
        place = 64 + 64 * torch.stack([up_down + left_right, up_down - left_right], dim=-1)  # [arena, agent, xy]
        assert float((place - spawns).abs().max()) <= 1 + 1e-4
        assert float((place[0] - place[1]).abs().min()) > 1e-3  # arenas are jittered on their own
        to_statue = statue - place
        angle = torch.atan2(to_statue[..., 1], to_statue[..., 0]) - heading
        angle = torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
        torch.testing.assert_close(sense(start, "FriendStatueAngle"), angle / math.pi, rtol=0, atol=1e-4)
        distance = (to_statue.square().sum(-1) + statue_above_spawn**2).sqrt()
        torch.testing.assert_close(sense(start, "FriendStatueDistance"), distance / 30, rtol=0, atol=1e-4)


def test_another_seed_gives_other_spawns(game: GameBackend, match: Match, rematch: Match) -> None:
    other = game.reset([STAY, FIGHT], SEED + 1)
    place = [observation_index("PositionLeftRight"), observation_index("PositionUpDown")]
    assert bool((other[..., place] != match.observation[0][..., place]).all())


def test_a_reset_in_mid_episode_gives_a_whole_match_with_the_new_tasks(game: GameBackend, match: Match) -> None:
    game.reset([FIGHT, STAY_OTHERWISE], SEED + 1)
    game.step(match.action[0])
    observations = [game.reset([STAY, FIGHT], SEED)]
    observations += [game.step(match.action[step])[0] for step in range(3)]
    assert torch.equal(torch.stack(observations), match.observation[:4])


def test_a_refused_action_leaves_the_match_as_it_was(game: GameBackend, match: Match) -> None:
    game.reset([STAY, FIGHT], SEED)
    game.step(match.action[0])
    broken = match.action[1].clone()
    broken[1, 0, 2, 1] = torch.nan
    with pytest.raises(ValueError, match=r"action\[side=1, arena=0, agent=2, Rotate\] must be finite, got nan"):
        game.step(broken)
    with pytest.raises(ValueError, match=r"shape \(2, 2, 3, 5\) \[side, arena, agent, action\], got \(2, 1, 3, 5\)"):
        game.step(match.action[1][:, :1])
    observation, reward, _ = game.step(match.action[1])
    assert torch.equal(observation, match.observation[2])
    assert torch.equal(reward, match.reward[1])
