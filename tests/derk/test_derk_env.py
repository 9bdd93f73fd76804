import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from fake_backend import FakeBackend, random_observations
from jsonargparse import ArgumentParser
from tensordict import TensorDict
from torchrl.envs.utils import check_env_specs

from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.interface import BOUNTY_KEYS, EPISODE_STEPS
from pearl_lightning.derk.opponents import OPPONENTS, Opponent
from pearl_lightning.derk.opponents.idle import IdleOpponent
from pearl_lightning.derk.tasks import BountyTasks, DerkTask, DerkTasks, LoadoutTasks
from pearl_lightning.envs.meta_env import EpisodeLost, MetaEnv
from pearl_lightning.experience.data import MetaBatchDataModule
from pearl_lightning.experience.player import FunctionPlayer
from pearl_lightning.experience.rollout import play_episode

EMPTY = ((None,) * 3,) * 3
SIDES = ("home", "away")


class NamedOpponentTasks(DerkTasks):
    """One train task per opponent."""

    def __init__(self, *opponents: str) -> None:
        self.train: Sequence[DerkTask] = [
            DerkTask(home_loadouts=EMPTY, away_loadouts=EMPTY, opponent=opponent) for opponent in opponents
        ]
        self.test: Sequence[DerkTask] = []

    def describe(self, index: int) -> str:
        return self[index].opponent


def make_env(
    arenas: int = 3, tasks: DerkTasks | None = None, side: Any = "home", **fake: Any
) -> tuple[DerkEnv, FakeBackend]:
    backend = FakeBackend(arenas=arenas, **fake)
    tasks = tasks or LoadoutTasks(train_tasks=4, test_tasks=2)
    return DerkEnv(arenas=arenas, tasks=tasks, backend=backend, side=side), backend


def play(env: DerkEnv, steps: int = EPISODE_STEPS) -> TensorDict:
    """An episode in which the home team walks forward."""

    def walk(step: TensorDict) -> TensorDict:
        action = torch.zeros(env.arenas, 3, 5)
        action[..., 0] = 1.0
        step["agents", "action"] = action
        return step

    return env.rollout(steps, policy=walk)


def test_specs_match_what_the_environment_writes() -> None:
    env, _ = make_env()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env_specs(env)


def test_an_episode_is_150_steps_and_terminates() -> None:
    env, backend = make_env()
    episode = play(env, steps=1_000)
    assert episode.batch_size == (3, EPISODE_STEPS)
    terminated = episode["next", "terminated"][..., 0]
    assert bool(terminated[:, -1].all())
    assert not terminated[:, :-1].any()
    assert not episode["next", "truncated"].any()
    assert len(backend.actions) == EPISODE_STEPS


def test_home_plays_the_given_actions_and_gets_the_home_reward() -> None:
    env, backend = make_env(tasks=NamedOpponentTasks("idle"))
    episode = play(env, steps=2)
    torch.testing.assert_close(backend.actions[1][0], episode["agents", "action"][:, 1])
    assert bool((episode["next", "agents", "reward"] == 1).all())


@pytest.fixture
def marked_opponents(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Two registered opponents that turn by a constant; how many arenas they were called with."""
    calls: dict[str, list[int]] = {"left": [], "right": []}

    def marked(name: str, rotate: float) -> type[Opponent]:
        class Marked(IdleOpponent):
            def __call__(self, observation: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
                calls[name].append(len(observation))
                action = super().__call__(observation, generator)
                action[..., 1] = rotate
                return action

        return Marked

    monkeypatch.setitem(OPPONENTS, "left", marked("left", 1.0))
    monkeypatch.setitem(OPPONENTS, "right", marked("right", -1.0))
    return calls


def test_every_arena_meets_its_own_tasks_opponent_in_one_call_each(marked_opponents: dict[str, list[int]]) -> None:
    env, backend = make_env(arenas=5, tasks=NamedOpponentTasks("left", "right"))
    env.set_tasks([1, 0, 1, 1, 0])
    play(env, steps=1)
    away = backend.actions[0][1]
    assert away[:, 0, 1].tolist() == [-1, 1, -1, -1, 1]
    assert marked_opponents == {"left": [2], "right": [3]}


def test_opponents_see_the_away_teams_view(monkeypatch: pytest.MonkeyPatch) -> None:
    views: list[torch.Tensor] = []

    class Watcher(IdleOpponent):
        def __call__(self, observation: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
            views.append(observation)
            return super().__call__(observation, generator)

    monkeypatch.setitem(OPPONENTS, "watcher", Watcher)
    env, backend = make_env(tasks=NamedOpponentTasks("watcher"))
    episode = play(env, steps=2)
    again = FakeBackend(arenas=3)
    start = again.reset(backend.tasks, backend.seeds[-1])
    torch.testing.assert_close(views[0], start[1])
    torch.testing.assert_close(episode["agents", "observation"][:, 0], start[0])


def test_outcome_compares_the_teams_rewards_on_the_last_step_only() -> None:
    env, _ = make_env(team_rewards=[[2.0, 1.0, 0.5], [1.0, 1.0, 3.0]])
    outcome = play(env)["next", "outcome"][..., 0]
    assert outcome[:, -1].tolist() == [1, 0, -1]
    assert not outcome[:, :-1].any()


def test_tasks_given_to_arenas_count_from_the_next_reset() -> None:
    env, backend = make_env()
    env.reset()
    env.set_tasks([5, 0, 3])
    assert env.step(env.rand_action())["next", "task"].tolist() == [0, 1, 2]
    assert env.reset()["task"].tolist() == [5, 0, 3]
    assert backend.tasks == [env.tasks[5], env.tasks[0], env.tasks[3]]


def test_the_task_never_enters_the_observation() -> None:
    views = []
    for task in (0, 5):
        env, _ = make_env()
        env.set_tasks([task] * 3)
        views.append(play(env, steps=5)["agents", "observation"])
    torch.testing.assert_close(views[0], views[1], rtol=0, atol=0)


def test_the_same_seed_plays_the_same_episodes() -> None:
    runs = []
    for seed in (7, 7, 8):
        env, backend = make_env()
        env.set_seed(seed)
        observations = [play(env, steps=3)["agents", "observation"] for _ in range(2)]
        runs.append((torch.stack(observations), backend.actions[-1], list(backend.seeds)))
    for first, again in zip(runs[0][:2], runs[1][:2], strict=True):
        torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert runs[0][2] == runs[1][2]
    assert runs[0][2] != runs[2][2]


def test_every_episode_has_spawns_of_its_own() -> None:
    env, backend = make_env()
    for _ in range(3):
        env.reset()
    assert len(set(backend.seeds)) == 3


def test_a_lost_episode_passes_through_and_the_next_one_plays() -> None:
    env, _ = make_env(lose_at_step=2)
    with pytest.raises(EpisodeLost, match="broke"):
        play(env)
    with pytest.raises(RuntimeError, match="reset the environment first"):
        env.advance(torch.zeros(3, 3, 5))
    assert play(env).batch_size == (3, EPISODE_STEPS)


def test_the_away_team_is_played_like_the_home_team_from_the_other_side() -> None:
    """The learner keeps its task: its items, bounties and opponent go with it."""
    (home, home_backend), (away, away_backend) = (
        make_env(side=side, team_rewards=[[1] * 3, [2] * 3]) for side in SIDES
    )
    seen = []
    for env in (home, away):
        env.set_seed(0)
        seen.append(play(env))
    assert home_backend.seeds == away_backend.seeds
    for task, swapped in zip(home_backend.tasks, away_backend.tasks, strict=True):
        assert (task.home_loadouts, task.home_bounties) == (swapped.away_loadouts, swapped.away_bounties)
        assert (task.away_loadouts, task.away_bounties) == (swapped.home_loadouts, swapped.home_bounties)
    generator = torch.Generator().manual_seed(away_backend.seeds[0])
    first = random_observations(2, 3, 3, generator=generator)
    for side, rollout in enumerate(seen):
        assert torch.equal(rollout["agents", "observation"][:, 0], first[side])
    assert (torch.stack(away_backend.actions)[:, 1, ..., 0] == 1).all()  # the learner walks forward
    assert not (torch.stack(away_backend.actions)[:, 0, ..., 0] == 1).all()
    assert [rollout["next", "outcome"][:, -1].flatten().tolist() for rollout in seen] == [[-1.0] * 3, [1.0] * 3]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("statistic", "bounty"), [("kills", "killEnemyUnit"), ("statue_damage", "damageEnemyStatue")])
def test_statistics_of_an_episode_are_what_a_bounty_of_one_for_each_pays(
    side: str, statistic: str, bounty: str
) -> None:
    pays = dict.fromkeys(("killEnemyUnit", "killEnemyStatue"), 0.0) | {bounty: 1.0}
    env = DerkEnv(
        arenas=6,
        tasks=LoadoutTasks(train_tasks=6, test_tasks=0, bounties=pays, opponent="idle"),
        side=side,  # type: ignore[arg-type]
        count_events=True,
        backend_options={"threads": 1},
    )
    attacker = OPPONENTS["attacker"]()
    rows = play_episode(
        env, FunctionPlayer(lambda observation, step: attacker(observation, torch.Generator().manual_seed(step)))
    )
    counted = env.episode_statistics()[statistic]
    assert counted.sum() > 0
    torch.testing.assert_close(counted, rows["reward"].sum(dim=(1, 2)), rtol=1e-4, atol=1e-3)
    assert env.episode_statistics().keys() == {"kills", "statue_damage"}
    env.close()


@pytest.mark.parametrize("side", SIDES)
def test_what_any_task_pays_follows_from_the_events_of_a_step(side: str) -> None:
    tasks = BountyTasks(train_tasks=8)
    env = DerkEnv(
        arenas=8,
        tasks=tasks,
        side=side,
        count_events=True,
        backend_options={"threads": 1},  # type: ignore[arg-type]
    )
    env.set_tasks(range(8))
    attacker = OPPONENTS["attacker"]()
    rows = play_episode(
        env, FunctionPlayer(lambda observation, step: attacker(observation, torch.Generator().manual_seed(step)))
    )
    weights = tasks.event_weights()[:8]
    assert rows["events"].shape == (8, EPISODE_STEPS + 1, 3, len(BOUNTY_KEYS))
    assert (rows["events"].sum(dim=(0, 1, 2)) != 0).sum() > 5  # kinds of events that happened
    paid = (rows["events"] * weights.unsqueeze(1)).sum(dim=-1)
    torch.testing.assert_close(paid, rows["reward"], rtol=1e-3, atol=1e-3)
    env.close()


def test_teams_that_are_paid_differently_have_no_winner_and_a_told_agent_no_hindsight() -> None:
    for observe_task in (False, True):
        env = DerkEnv(
            arenas=1,
            tasks=BountyTasks(train_tasks=4),
            count_events=True,
            observe_task=observe_task,
        )
        assert not env.has_outcome
        assert env.episode_statistics().keys() == {"kills", "statue_damage"}  # of nothing played yet
        if observe_task:
            with pytest.raises(ValueError, match="relabelled must be 0 for an env that observes the task"):
                MetaBatchDataModule(env, relabelled=0.5)
        else:
            assert MetaBatchDataModule(env, relabelled=0.5).relabelled == 0.5
    assert make_env()[0].has_outcome


def test_an_environment_that_counts_nothing_has_no_statistics() -> None:
    env, _ = make_env()
    play(env)
    assert env.episode_statistics() == {}


def test_a_bad_action_is_refused() -> None:
    env, _ = make_env()
    state = env.reset()
    state["agents", "action"] = torch.full((3, 3, 5), torch.nan)
    with pytest.raises(ValueError, match="finite"):
        env.step(state)


def test_closing_closes_the_backend_once() -> None:
    env, backend = make_env()
    env.reset()
    env.close()
    env.close()
    assert backend.closed == 1
    with pytest.raises(RuntimeError, match="closed"):
        env.begin([])


def test_report_is_the_backends() -> None:
    env, _ = make_env()
    assert env.report() == {"backend": "fake"}


def test_the_game_is_not_started_before_the_first_reset() -> None:
    env = DerkEnv(arenas=2, tasks=LoadoutTasks(train_tasks=2, test_tasks=0), backend="game")
    assert env.report() == {}
    env.close()


def test_a_config_can_name_the_environment_and_its_tasks() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--env", type=MetaEnv)
    tasks = {
        "class_path": f"{LoadoutTasks.__module__}.LoadoutTasks",
        "init_args": {"train_tasks": 3, "bounties": "shaped"},
    }
    settings = {"arenas": 2, "backend": "game", "tasks": tasks}
    config = parser.parse_object({"env": {"class_path": f"{DerkEnv.__module__}.DerkEnv", "init_args": settings}})
    env = parser.instantiate(config).env
    assert isinstance(env, DerkEnv)
    assert len(env.tasks.train) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "chess"}, "backend must be one of simulator, game or a backend object, got 'chess'"),
        ({"backend": FakeBackend(arenas=3)}, "arenas must be 3, the number of arenas of the backend, got 2"),
        (
            {"backend": FakeBackend(arenas=2), "backend_options": {"port": 1}},
            "backend_options must be empty if backend is an object",
        ),
        ({"tasks": NamedOpponentTasks("idle", "nobody")}, "unknown opponent 'nobody'; known ones: random"),
        ({"arenas": 0}, "arenas must be at least 1, got 0"),
        (
            {"count_events": True, "backend": "game"},
            "count_events must be false if backend is not 'simulator', got backend 'game'",
        ),
        ({"side": "left"}, "side must be home or away, got 'left'"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DerkEnv(**{"arenas": 2, "tasks": NamedOpponentTasks("idle"), **settings})
