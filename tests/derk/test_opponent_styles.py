"""Every scripted style does what its name says, in whole matches of the simulator."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from pearl_lightning.derk.backends.simulator import SimulatorBackend
from pearl_lightning.derk.interface import AGENTS, BOUNTY_KEYS
from pearl_lightning.derk.opponents import make_opponent
from pearl_lightning.derk.tasks import DerkTask, Loadout

pytestmark = pytest.mark.slow  # whole matches

ARENAS = 32
HOME, AWAY = slice(1, 4), slice(5, 8)
HOME_STATUE, AWAY_STATUE = 0, 4
MELEE = (("Talons", None, None),) * AGENTS
SHOOTERS = (("Pistol", None, None),) * AGENTS


@dataclass(frozen=True)
class Match:
    """Record of 32 matches, step by step.

    Args:
        position: ``[step, arena, member, 3]``.
        hitpoints, focus, stopped: ``[step, arena, member]``; stopped means dazed, crippled or lifted.
        events: Of the home team, then the away team, at the end: ``[arena, agent of both, bounty]``.
    """

    position: Tensor
    hitpoints: Tensor
    focus: Tensor
    stopped: Tensor
    events: Tensor

    def of_away(self, *keys: str) -> float:
        """Events of the away team of these kinds, per match."""
        return self.events[:, AGENTS:, [BOUNTY_KEYS.index(key) for key in keys]].sum((1, 2)).mean().item()

    def nearest_home(self) -> Tensor:
        """Metres from each living away agent to the nearest living home agent ``[step, arena, agent]``; NaN if dead."""
        apart = torch.cdist(self.position[:, :, AWAY], self.position[:, :, HOME])
        apart = apart.masked_fill(self.hitpoints[:, :, HOME].unsqueeze(-2) <= 0, torch.inf).amin(-1)
        return apart.where((self.hitpoints[:, :, AWAY] > 0) & apart.isfinite(), torch.nan)


def play(
    home: str,
    away: str,
    *,
    steps: int = 150,
    home_loadouts: Sequence[Loadout] = MELEE,
    away_loadouts: Sequence[Loadout] | None = None,
) -> Match:
    """``away`` against ``home``; ``away`` holds what its style may hold unless told otherwise."""
    styles = [make_opponent(home), make_opponent(away)]
    generator = torch.Generator().manual_seed(0)

    def draw() -> list[Loadout]:
        natural = styles[1].items.values()
        return [
            tuple(items[int(torch.randint(len(items), (), generator=generator))] for items in natural)
            for _ in range(AGENTS)
        ]

    tasks = [DerkTask(home_loadouts=home_loadouts, away_loadouts=away_loadouts or draw()) for _ in range(ARENAS)]
    simulator = SimulatorBackend(arenas=ARENAS, bounty_events=True)
    observation, frames = simulator.reset(tasks, 0), []
    for _ in range(steps):
        action = torch.stack([style(seen, generator) for style, seen in zip(styles, observation, strict=True)])
        observation, _, _ = simulator.step(action)
        state = simulator.state()
        stopped = (state["dazed"] > 0) | (state["crippled"] > 0) | (state["helium"] > 0)
        frames.append([state[key].clone() for key in ("position", "hitpoints", "focus")] + [stopped])
    return Match(*(torch.stack(rows) for rows in zip(*frames, strict=True)), events=simulator.state()["events"].clone())


@pytest.mark.parametrize("style", ["attacker", "sniper"])
def test_who_kills_units_comes_to_the_statue_last(style: str) -> None:
    match = play("idle", style)
    assert match.of_away("killEnemyUnit") > 2
    dead_units = (match.hitpoints[:, :, HOME] <= 0).sum(-1)
    hurt_statue = match.hitpoints[:, :, HOME_STATUE] < 99
    assert hurt_statue.any()
    assert (dead_units[hurt_statue] == AGENTS).float().mean() > 0.8


def test_the_pusher_beats_the_statue_and_passes_units_by() -> None:
    match = play("idle", "pusher", steps=100)
    assert match.of_away("killEnemyStatue") > 0.9
    still_stands = match.hitpoints[:, :, HOME_STATUE] > 0
    assert match.hitpoints[:, :, HOME][still_stands].mean() > 95
    assert play("idle", "pusher").of_away("killEnemyUnit") > 2  # once it has fallen


def test_the_sniper_hits_from_afar() -> None:
    near, melee = play("attacker", "sniper"), play("attacker", "attacker", away_loadouts=MELEE)
    assert near.of_away("damageEnemyUnit") > 20
    fight = slice(30, None)
    assert near.nearest_home()[fight].nanmedian() > 2 * melee.nearest_home()[fight].nanmedian()
    assert 8 < play("idle", "sniper", steps=60).nearest_home()[40:].nanmedian() < 15


def test_the_guardian_stays_at_its_statue_and_defends_it() -> None:
    quiet = play("idle", "guardian", away_loadouts=MELEE)
    to_statue = (quiet.position[60:, :, AWAY] - quiet.position[60:, :, AWAY_STATUE, None]).norm(dim=-1)
    assert to_statue.quantile(0.95) < 8
    assert quiet.of_away("damageEnemyUnit", "damageEnemyStatue") == 0
    assert play("pusher", "guardian", away_loadouts=MELEE).of_away("damageEnemyUnit") > 50


def test_the_healer_heals_its_own() -> None:
    own = ("healTeammate1", "healTeammate2", "healFriendlyStatue")
    loadouts = (("Talons", "HealingGland", None),) * AGENTS
    healer, attacker = (play("attacker", style, away_loadouts=loadouts) for style in ("healer", "attacker"))
    assert attacker.of_away(*own) == 0
    assert healer.of_away(*own) > 10
    assert healer.of_away("healEnemy") < 0.1 * healer.of_away(*own)


def test_the_gang_strikes_together() -> None:
    def agreement(match: Match) -> float:
        focus = match.focus[20:, :, AWAY]
        return ((focus == focus[..., :1]).all(-1) & (focus[..., 0] >= 0)).float().mean().item()

    gang, attackers = (play("runner", style, away_loadouts=MELEE) for style in ("gang", "attacker"))
    assert agreement(gang) > 1.5 * agreement(attackers)


def test_the_disruptor_stops_its_enemies() -> None:
    loadouts = (("Cripplers", "ParalyzingDart", "HeliumBubblegum"), ("Magnum", "ParalyzingDart", "Trombone"), MELEE[0])
    stopped = {
        style: play("attacker", style, away_loadouts=loadouts).stopped[:, :, HOME].float().mean().item()
        for style in ("disruptor", "random")
    }
    assert stopped["disruptor"] > 2 * stopped["random"]


def test_the_runner_is_hurt_less_than_who_stands_still() -> None:
    hurt = {
        style: 100 - play("attacker", style, steps=30, away_loadouts=MELEE).hitpoints[-1, :, AWAY].mean().item()
        for style in ("runner", "idle")
    }
    assert hurt["runner"] < 0.5 * hurt["idle"]
    undisturbed = play("idle", "runner")
    assert undisturbed.of_away("damageEnemyUnit") == 0
    assert undisturbed.of_away("damageEnemyStatue") > 50


def test_the_besieger_shoots_the_statue_and_nobody() -> None:
    siege = play("idle", "besieger")
    assert (siege.hitpoints[-1, :, HOME_STATUE] <= 0).float().mean() > 0.9
    assert (siege.hitpoints[:, :, HOME] == 100).all()
    assert 8 < (siege.position[50, :, AWAY] - siege.position[50, :, HOME_STATUE, None]).norm(dim=-1).median() < 15


def test_the_avenger_gives_up_its_statue_and_strikes_first_at_who_aims_at_it() -> None:
    push = play("pusher", "avenger")
    assert (push.hitpoints[-1, :, AWAY_STATUE] <= 0).float().mean() > 0.9
    still_stands = push.hitpoints[:, :, AWAY_STATUE] > 0
    assert (push.hitpoints[:, :, HOME][still_stands] > 99).float().mean() > 0.95
    attack = play("attacker", "avenger")
    is_hit = (attack.hitpoints[:, :, HOME] < 99).any(-1)
    hits_back = (attack.hitpoints[:, :, AWAY] < 99).any(-1)
    assert (is_hit.int().argmax(0) < hits_back.int().argmax(0)).float().mean() > 0.9


def test_the_warden_defends_its_statue_and_lets_itself_be_shot_from_afar() -> None:
    def first(hurt: Tensor) -> Tensor:
        return torch.where(hurt.any(0), hurt.int().argmax(0), len(hurt))

    push = play("pusher", "warden")
    assert (first(push.hitpoints[:, :, HOME].amin(-1) < 99) < first(push.hitpoints[:, :, AWAY_STATUE] < 99)).all()
    warden, avenger = (play("sniper", style, steps=40, home_loadouts=SHOOTERS) for style in ("warden", "avenger"))
    assert warden.hitpoints[-1, :, AWAY].mean() < avenger.hitpoints[-1, :, AWAY].mean()
    assert warden.of_away("damageEnemyUnit") < 0.1 * avenger.of_away("damageEnemyUnit")


def test_avenger_and_warden_look_the_same_until_they_are_provoked() -> None:
    avenger, warden = (play("idle", style, away_loadouts=SHOOTERS) for style in ("avenger", "warden"))
    for key in ("position", "hitpoints", "focus"):
        torch.testing.assert_close(getattr(avenger, key), getattr(warden, key), rtol=0, atol=0)
    assert (avenger.focus[20:, :, AWAY] == avenger.focus[20, :, AWAY]).all()
    assert avenger.of_away("damageEnemyUnit", "damageEnemyStatue") == 0
