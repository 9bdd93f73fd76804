"""The adaptation protocol: what is played, what is counted, what is left as it was, and what its table says."""

from __future__ import annotations

import csv
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from environments import AGENTS, FEATURES, HORIZON, SPACE, CountingEncoder, CountingEnv
from tensordict import TensorDict

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.callbacks import AdaptationEvaluation
from pearl_lightning.envs.meta_env import EpisodeLost
from pearl_lightning.envs.point_robot import GoalTasks, PointRobot
from pearl_lightning.evaluation import (
    AdaptationResult,
    AdaptationTable,
    BeliefTrace,
    EpisodeRow,
    Evaluation,
    Interval,
    KindRow,
    adaptation_sentence,
    compare,
    evaluate_adaptation,
    format_comparison,
    format_side_by_side,
    format_table,
    read_history,
    write_history,
    write_json,
    write_matches,
)
from pearl_lightning.evaluation.beliefs import TRACE_POINTS
from pearl_lightning.evaluation.plots import plot_adaptation, plot_belief
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.encoders import ContextFreeEncoder, GaussianProductEncoder, MeanEncoder
from pearl_lightning.networks.distributions import HybridTanhGaussian


@pytest.fixture
def agent() -> PEARL:
    torch.manual_seed(0)
    return PEARL(FEATURES, SPACE)


def result(**changes: Any) -> AdaptationResult:
    """Two tasks, three matches, two episodes: the second is better by 1, 2 and 3 in both tasks."""
    first = np.array([[0.0, 2.0, 4.0], [10.0, 20.0, 30.0]])
    returns = np.stack([first, first + [1.0, 2.0, 3.0]], axis=-1)
    wins = np.stack([-np.ones((2, 3)), np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0]])], axis=-1)
    z = np.ones((2, 3, 2, 4))
    values = {"tasks": (7, 8), "returns": returns, "outcomes": wins, "z_mean": z, "z_std": z, "env_steps": 99}
    return AdaptationResult(**(values | changes))


@pytest.mark.parametrize("arenas", [1, 4, 5])
def test_returns_and_outcomes_are_the_tasks_own_and_idle_arenas_count_only_as_steps(arenas: int) -> None:
    torch.manual_seed(0)
    agent, env, tasks = PEARL(FEATURES, SPACE), CountingEnv(arenas=arenas), [6, 2, 8]
    played = evaluate_adaptation(env, agent, tasks, episodes=2, matches=3)
    assert played.tasks == (6, 2, 8)
    assert played.returns.shape == played.outcomes.shape == (3, 3, 2)
    # The environment pays the task's number plus an action in [-1, 1] per step and agent.
    per_step = played.returns / (HORIZON * AGENTS)
    assert (np.abs(per_step - np.array(tasks).reshape(3, 1, 1)) <= 1).all()
    plan = [6, 6, 6, 2, 2, 2, 8, 8, 8]
    rounds = -(-9 // arenas)
    for number in range(rounds):
        for episode in range(2):
            part = plan[number * arenas : (number + 1) * arenas]
            assert env.begun[2 * number + episode][: len(part)] == part
    wins = np.stack([torch.cat(env.numbers[episode::2])[:9].sign().reshape(3, 3).numpy() for episode in range(2)], -1)
    assert (played.outcomes == wins).all()
    assert played.env_steps == env.played_steps == rounds * arenas * 2 * HORIZON


def test_the_seed_alone_decides_an_evaluation(agent: PEARL) -> None:
    env = CountingEnv()
    first = evaluate_adaptation(env, agent, [6, 7], matches=3, deterministic=False, seed=1)
    torch.manual_seed(5)
    env.set_seed(77)
    again = evaluate_adaptation(env, agent, [6, 7], matches=3, deterministic=False, seed=1)
    other = evaluate_adaptation(env, agent, [6, 7], matches=3, deterministic=False, seed=2)
    assert (first.returns == again.returns).all()
    assert (first.outcomes == again.outcomes).all()
    assert (first.returns != other.returns).all()


@pytest.mark.parametrize("lose", [{}, {0: 1, 1: 1, 2: 1}])
def test_an_evaluation_leaves_tasks_and_every_random_state_as_they_were(agent: PEARL, lose: dict[int, int]) -> None:
    env = CountingEnv(lose=lose)
    env.set_tasks([3, 1, 4, 1])
    env.set_seed(9)
    numbers = (
        torch.get_rng_state(),
        np.random.get_state()[1],
        agent.noise.get_state(),
        env.random_state()["environment"],
    )
    if lose:
        with pytest.raises(EpisodeLost):
            evaluate_adaptation(env, agent, [6, 7])
    else:
        evaluate_adaptation(env, agent, [6, 7], deterministic=False)
    after = (
        torch.get_rng_state(),
        np.random.get_state()[1],
        agent.noise.get_state(),
        env.random_state()["environment"],
    )
    for before, now in zip(numbers, after, strict=True):
        assert (before == now).all()
    env.reset()
    assert env.begun[-1] == [3, 1, 4, 1]


def test_a_lost_episode_does_not_change_what_is_measured(agent: PEARL) -> None:
    env = CountingEnv(lose={1: 2})
    played = evaluate_adaptation(env, agent, [6, 7], episodes=2, matches=2)
    assert len(env.begun) == 3
    assert played.returns.shape == (2, 2, 2)
    assert env.played_steps == played.env_steps + 2 * env.arenas


def test_a_deterministic_evaluation_never_samples_the_policy(agent: PEARL, monkeypatch: pytest.MonkeyPatch) -> None:
    sampled = []
    sample = HybridTanhGaussian.sample
    monkeypatch.setattr(HybridTanhGaussian, "sample", lambda self, *a: sampled.append(1) or sample(self, *a))
    evaluate_adaptation(CountingEnv(), agent, [6], deterministic=True)
    assert not sampled
    evaluate_adaptation(CountingEnv(), agent, [6], episodes=2, deterministic=False)
    assert len(sampled) == 2 * HORIZON


def test_every_match_starts_from_the_prior_and_takes_in_every_episode() -> None:
    agent = PEARL(FEATURES, SPACE, encoder=CountingEncoder)  # its posterior mean is the number of transitions seen
    played = evaluate_adaptation(CountingEnv(arenas=2), agent, [6, 7, 8], episodes=3, matches=2)
    seen = HORIZON * AGENTS * np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    assert (played.z_mean == np.broadcast_to(seen, (3, 2, 3, 2))).all()
    assert played.z_std == pytest.approx(1e-3)


class RewardEncoder(CountingEncoder):
    """An encoder whose mean is the sum of the rewards that it has read."""

    def update(self, state: torch.Tensor, context: torch.Tensor, played: torch.Tensor | None = None) -> torch.Tensor:
        return state + context[..., -1:].sum(dim=1)


@pytest.mark.parametrize("arenas", [6, 18])
def test_the_control_reads_the_episodes_of_another_task_and_changes_nothing_else(arenas: int) -> None:
    torch.manual_seed(0)
    agent, tasks = PEARL(FEATURES, SPACE, encoder=RewardEncoder), [6, 7, 8]
    own, wrong = (
        evaluate_adaptation(CountingEnv(arenas=arenas), agent, tasks, episodes=1, matches=2, wrong_context=control)
        for control in (False, True)
    )
    assert (own.returns == wrong.returns).all()  # of the first episode, which no context was read for
    np.testing.assert_allclose(own.z_mean[:, :, 0, 0], own.returns[:, :, 0], rtol=1e-4)  # the return tells the task
    played, read = (np.round(each / (HORIZON * AGENTS)) for each in (wrong.returns[:, :, 0], wrong.z_mean[:, :, 0, 0]))
    assert (played == np.array(tasks)[:, None]).all()  # the actions pay less than a half
    assert (read != played).all()
    assert np.isin(read, tasks).all()


def test_matches_of_a_task_read_different_tasks_in_the_control() -> None:
    torch.manual_seed(0)
    agent, environment = PEARL(FEATURES, SPACE, encoder=RewardEncoder), CountingEnv(arenas=24)
    wrong = evaluate_adaptation(environment, agent, [6, 7, 8], episodes=1, matches=8, wrong_context=True)
    read = np.round(wrong.z_mean[:, :, 0, 0] / (HORIZON * AGENTS))
    assert [set(each) for each in read] == [{7, 8}, {6, 8}, {6, 7}]


def test_the_control_reads_another_kind_of_task_where_one_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    agent, environment = PEARL(FEATURES, SPACE, encoder=RewardEncoder), CountingEnv(arenas=32)
    monkeypatch.setattr(environment.tasks, "kind", lambda task: "few" if task < 8 else "many", raising=False)
    for tasks, expected in (([5, 6, 7, 9], [{9}, {9}, {9}, {5, 6, 7}]), ([5, 6], [{6}, {5}])):
        wrong = evaluate_adaptation(environment, agent, tasks, episodes=1, matches=8, wrong_context=True)
        read = np.round(wrong.z_mean[:, :, 0, 0] / (HORIZON * AGENTS))
        assert [set(each) for each in read] == expected


def test_the_control_needs_two_tasks_at_a_time(agent: PEARL) -> None:
    with pytest.raises(ValueError, match="wrong_context needs two tasks side by side, got 6 in all arenas"):
        evaluate_adaptation(CountingEnv(), agent, [6], matches=4, wrong_context=True)


def plain_returns(env: PointRobot, agent: PEARL, tasks: list[int], seed: int) -> torch.Tensor:
    """Returns ``[arena, episode]`` in the published protocol, by a plain loop over one arena per task."""
    env.set_seed(seed)
    env.set_tasks(torch.tensor(tasks))
    generator = torch.Generator().manual_seed(seed)
    mean, std = torch.zeros(len(tasks), 5), torch.ones(len(tasks), 5)
    context: list[torch.Tensor] = []
    returns = torch.zeros(len(tasks), 3)
    for episode in range(3):
        if episode == 2:
            mean, std = agent.encoder(torch.stack(context, dim=1))
        z = mean + std * torch.randn(len(tasks), 5, generator=generator)
        observation = env.reset()["agents", "observation"]
        for _ in range(env.horizon):
            action = agent.act(observation, z, deterministic=True)
            after = env.step(TensorDict({"agents": {"action": action}}, batch_size=[env.arenas]))["next"]
            reward = after["agents", "reward"]
            encoded = agent.action_space.encode(action)
            context.append(torch.cat([observation, encoded, reward], dim=-1)[:, 0])
            returns[:, episode] += reward[:, 0, 0]
            observation = after["agents", "observation"]
    return returns


@pytest.mark.parametrize("every", [{}, {"observe_every": 4, "resample_every": 3}])
@torch.no_grad()
def test_the_protocol_of_the_paper_is_a_plain_loop(every: dict[str, int]) -> None:
    torch.manual_seed(0)
    env = PointRobot(arenas=4, tasks=GoalTasks(train_tasks=1, validation_tasks=1, test_tasks=4))
    agent = PEARL(
        env.features,
        env.action_space,
        encoder=partial(GaussianProductEncoder, latent_dim=5),
        belief=BeliefConfig(**every),
    )
    tasks = list(env.tasks.test_indices)
    played = evaluate_adaptation(env, agent, tasks, protocol="pearl", seed=3)
    expected = plain_returns(env, agent, tasks, seed=3)
    np.testing.assert_allclose(played.returns[:, 0], expected.numpy(), rtol=1e-4, atol=1e-4)
    assert (played.z_mean[:, 0, 0] == 0).all()
    assert (played.z_mean[:, 0, 1] != 0).all()
    adaptive = evaluate_adaptation(env, agent, tasks, seed=3)
    assert (adaptive.returns[:, 0, 1] != played.returns[:, 0, 1]).all()


def test_exploration_episodes_update_the_belief_together() -> None:
    agent = PEARL(FEATURES, SPACE, encoder=CountingEncoder)
    env = CountingEnv(arenas=2, lose={1: 2})  # the second episode is played again
    played = evaluate_adaptation(env, agent, [6, 7, 8], episodes=4, matches=2, protocol="pearl")
    seen = HORIZON * AGENTS * np.array([0.0, 0.0, 3.0, 4.0]).reshape(1, 1, 4, 1)
    assert (played.z_mean == np.broadcast_to(seen, (3, 2, 4, 2))).all()
    table = played.table()
    assert AdaptationTable.from_json(table.to_json()) == table
    assert table.to_json()["protocol"] == "pearl"
    assert format_table(table).splitlines()[-1].startswith("protocol pearl: the episodes before the last one explore")
    assert "protocol pearl" in plot_adaptation(table).get_suptitle()
    assert plot_belief(played).get_suptitle() == "protocol pearl"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "paper"}, "protocol must be adaptive or pearl, got paper"),
        ({"protocol": "pearl", "episodes": 1}, "episodes must be at least 2 in protocol pearl"),
        ({"protocol": "pearl", "deterministic": False}, "deterministic must be true in protocol pearl"),
    ],
)
def test_options_that_contradict_the_protocol_are_refused(agent: PEARL, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_adaptation(CountingEnv(), agent, [6], **options)
    with pytest.raises(ValueError, match=message):
        AdaptationEvaluation(**options)


def test_an_agent_without_a_latent_has_a_table_without_one() -> None:
    agent = PEARL(FEATURES, SPACE, encoder=ContextFreeEncoder)
    table = evaluate_adaptation(CountingEnv(), agent, [6, 7], episodes=2, matches=2).table()
    assert (table.episodes[0].z_std, table.episodes[0].coverage) == (None, None)
    assert not {"z_std", "coverage"} & table.episodes[0].to_json().keys()
    assert result().table().episodes[0].coverage is not None


@pytest.mark.parametrize("seed", [0, 1])
def test_an_untrained_agent_shows_no_adaptation_gain(seed: int) -> None:
    torch.manual_seed(seed)
    tasks = GoalTasks(train_tasks=1, test_tasks=20)
    env = PointRobot(arenas=320, tasks=tasks)
    agent = PEARL(env.features, env.action_space)
    gain = evaluate_adaptation(env, agent, tasks.test_indices, episodes=3, matches=16).table().gain
    assert gain.low <= 0 <= gain.high


def test_table_gives_means_win_rates_and_the_paired_gain() -> None:
    table = result().table()
    assert [row.return_mean for row in table.episodes] == [11.0, 13.0]
    assert [row.return_iqm for row in table.episodes] == [9.0, 11.0]
    assert [row.win_rate for row in table.episodes] == [0.0, 0.5]
    assert table.gain.mean == 2.0
    assert 1.0 <= table.gain.low < 2.0 < table.gain.high <= 3.0  # the matches' levels play no role
    assert (table.tasks, table.matches_per_task, table.env_steps) == (2, 3, 99)
    without_winner = result(outcomes=None).table()
    assert (without_winner.episodes[0].wins, without_winner.win_gain) == (None, None)


COLUMNS = ["episode", "return_mean", "return_iqm", "return_low", "return_high", "z_std", "coverage", "win_rate"]


def test_a_file_keeps_the_layout_that_earlier_versions_wrote() -> None:
    played = result(kinds=("gang", "sniper"), statistics={"kills": np.ones((2, 3, 2))}, trace=trace(0, 1))
    entry = played.table().to_json()
    names = ["tasks", "matches_per_task", "env_steps", "episodes", "gain", "win_gain", "settled_after", "entropy"]
    assert list(entry) == [*names, "kinds"]
    assert [list(row) for row in entry["episodes"]] == [[*COLUMNS, "win_low", "win_high", "kills"]] * 2
    assert list(entry["gain"]) == list(entry["win_gain"]) == ["mean", "low", "high"]
    assert [list(row) for row in entry["kinds"]["gang"]] == [["return_mean", "win_rate"]] * 2
    assert AdaptationTable.from_json(json.loads(json.dumps(entry))) == played.table()


@pytest.mark.parametrize("name", ["families", "ablations"])
def test_the_results_of_earlier_versions_are_read_and_written_alike(name: str) -> None:
    path = Path(__file__).parent.parent / "docs" / "results" / "data" / f"{name}.json"
    tables = [table for each in json.loads(path.read_text()) for table in each["tables"].values()]
    assert tables
    assert [json.dumps(AdaptationTable.from_json(each).to_json()) for each in tables] == list(map(json.dumps, tables))


def test_a_history_goes_through_a_file_and_through_a_checkpoint(tmp_path: Path) -> None:
    history = [Evaluation(0, 0, result(outcomes=None).table()), Evaluation(3, 480, result().table())]
    write_history(history, tmp_path / "adaptation.json")
    assert read_history(tmp_path / "adaptation.json") == history
    torch.save([each.to_json() for each in history], tmp_path / "state.pt")
    assert [Evaluation.from_json(each) for each in torch.load(tmp_path / "state.pt", weights_only=True)] == history


@pytest.mark.parametrize("name", ["tasks", "episodes", "gain"])
def test_what_is_no_table_is_refused_by_what_it_lacks(name: str) -> None:
    entry = result().table().to_json()
    del entry[name]
    with pytest.raises(ValueError, match=f"an adaptation table must have {name}"):
        AdaptationTable.from_json(entry)
    with pytest.raises(ValueError, match="must have at least one episode"):
        AdaptationTable.from_json(result().table().to_json() | {"episodes": []})


def test_tables_side_by_side_have_a_column_each() -> None:
    lines = format_side_by_side({"a": result().table(), "b": result(outcomes=None).table()}).splitlines()
    assert lines[0].split() == ["episode", "a", "b"]
    assert lines[2].split()[:2] == ["1", "13.00"]
    assert lines[2].count("wins 50.0%") == 1


@pytest.mark.parametrize(("too_sure", "share"), [(1.0, 0.95), (3.0, 0.487)])
def test_coverage_is_the_share_that_a_posterior_held_possible(too_sure: float, share: float) -> None:
    # A calibrated belief: the truth is a draw from the first posterior, which the last one knows. 2 Φ(1.96 / 3) - 1 =
    # 0.487 where the first states a third of its spread. 40,000 latents: four standard errors are 0.01.
    rng = np.random.default_rng(0)
    mean = np.zeros((10, 1_000, 2, 4))
    mean[:, :, 1] = rng.normal(size=(10, 1_000, 4)) * 2.0
    std = np.full(mean.shape, 2.0 / too_sure)
    assert result(z_mean=mean, z_std=std).coverage() == pytest.approx([share, 1.0], abs=0.01)


def test_json_is_strict_and_says_null_where_an_interval_is_unknown(tmp_path: Path) -> None:
    one_match = result(
        returns=np.ones((2, 1, 2)), outcomes=None, z_mean=np.ones((2, 1, 2, 4)), z_std=np.ones((2, 1, 2, 4))
    )
    table = one_match.table()
    path = tmp_path / "new" / "table.json"
    write_json({"history": [table.to_json()]}, path)
    read = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert read["history"][0]["gain"] == {"mean": 0.0, "low": None, "high": None}
    unknown = AdaptationTable.from_json(read["history"][0])
    assert unknown.gain.mean == 0.0
    assert np.isnan([unknown.gain.low, unknown.gain.high, unknown.episodes[0].return_low]).all()
    write_json(result().table().to_json(), path)
    assert AdaptationTable.from_json(json.loads(path.read_text())) == result().table()


def test_text_lists_every_episode_and_the_gain() -> None:
    lines = format_table(result().table()).splitlines()
    assert lines[1].split()[:2] == ["0", "11.00"]
    assert lines[2].split()[:2] == ["1", "13.00"]
    assert lines[2].endswith("50.0%")
    assert lines[3].startswith("gain, last minus first: 2.00 [")
    assert lines[4] == "2 tasks x 3 matches, 99 environment steps"
    assert "win rate" not in format_table(result(outcomes=None).table())


def test_every_kind_of_task_has_a_row_of_its_own() -> None:
    played = result(kinds=("sniper", "gang"))
    assert played.by_kind() == {
        "gang": (KindRow(20.0, 0.0), KindRow(22.0, 1 / 3)),
        "sniper": (KindRow(2.0, 0.0), KindRow(4.0, 2 / 3)),
    }
    assert format_table(played.table()).splitlines()[4:6] == [
        "gang: return 20.00, 22.00, won 0%, 33%",
        "sniper: return 2.00, 4.00, won 0%, 67%",
    ]
    assert "gang: return 20.00, 22.00" in format_table(result(kinds=("sniper", "gang"), outcomes=None).table())
    assert not result(kinds=("sniper", "sniper")).by_kind()
    assert "kinds" not in result().table().to_json()


@pytest.mark.parametrize("name", ["episodes", "matches", "tasks"])
def test_numbers_below_one_are_refused(agent: PEARL, name: str) -> None:
    arguments: dict[str, Any] = {"tasks": [6]} | {name: [] if name == "tasks" else 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        evaluate_adaptation(CountingEnv(), agent, **arguments)


def test_two_agents_are_compared_match_by_match_in_the_last_episode() -> None:
    first, won = result(), np.ones((2, 3, 2))
    second = result(returns=first.returns + np.array([5.0, 2.0]), outcomes=won)
    lead = compare([first], [second])
    assert lead.returns.mean == pytest.approx(2.0)
    assert lead.returns.low == lead.returns.high == pytest.approx(2.0)  # the same in every match
    assert lead.win_rate is not None
    assert lead.win_rate.mean == pytest.approx(1 - 3 / 6)
    assert lead.win_rate.low < lead.win_rate.mean < lead.win_rate.high
    assert lead.to_json() == {"return": lead.returns.to_json(), "win_rate": lead.win_rate.to_json()}
    assert format_comparison(lead).startswith("return +2.00 [+2.00, +2.00], win rate +50.0% [")
    with pytest.raises(ValueError, match="the same number of matches per task to be compared, got 3 and 2"):
        compare([first], [result(returns=first.returns[:, :2])])
    for tasks, named in (((7, 9), "8 and 9"), ((7,), "8 and None")):
        with pytest.raises(ValueError, match=f"the same tasks to be compared, got tasks {named}"):
            compare([first], [result(tasks=tasks)])


def test_seeds_that_played_the_same_matches_are_averaged_and_a_copy_tells_nothing_new() -> None:
    def seed(number: int) -> AdaptationResult:
        generator = np.random.default_rng(number)
        outcomes = generator.choice([-1.0, 0.0, 1.0], size=(2, 3, 2))
        return result(returns=generator.normal(size=(2, 3, 2)), outcomes=outcomes)

    alone, seeds = seed(0), [seed(1), seed(2), seed(3)]
    lead = compare([alone], seeds).to_json()
    each = [compare([alone], [one]).to_json() for one in seeds]
    for name in ("return", "win_rate"):
        assert lead[name]["mean"] == pytest.approx(np.mean([one[name]["mean"] for one in each]))
    for name, interval in compare([alone] * 3, seeds).to_json().items():
        assert interval == pytest.approx(lead[name])
    averaged = result(returns=np.mean([one.returns for one in seeds], axis=0), outcomes=None)
    assert compare([alone], [averaged]).to_json() == {"return": pytest.approx(lead["return"])}


def test_the_win_rates_gain_is_paired_as_the_returns_is() -> None:
    gain = result().table().win_gain
    assert gain is not None
    assert gain.mean == pytest.approx(3 / 6)


def test_every_match_is_a_row_of_the_csv(tmp_path: Path) -> None:
    kills = np.arange(12.0).reshape(2, 3, 2)
    played = result(statistics={"kills": kills})
    assert [row.statistics["kills"] for row in played.table().episodes] == [kills[..., 0].mean(), kills[..., 1].mean()]
    assert "kills" in format_table(played.table()).splitlines()[0]
    write_matches(played, tmp_path / "a" / "matches.csv")
    with (tmp_path / "a" / "matches.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[7] == {"task": "8", "match": "0", "episode": "1", "return": "11.0", "outcome": "1.0", "kills": "7.0"}


def trace(*path: float) -> BeliefTrace:
    """One match whose mean goes along ``path`` in the first of two latents, ten transitions a point."""
    mean = np.zeros((1, len(path), 2))
    mean[0, :, 0] = path
    std = np.stack([np.full(len(path), 0.5), np.linspace(1, 2, len(path))], axis=-1)[None]
    return BeliefTrace(10 * np.arange(len(path)), mean, std)


def test_entropy_is_that_of_the_posteriors() -> None:
    way = trace(0, 1, 2)
    expected = torch.distributions.Normal(torch.tensor(way.mean), torch.tensor(way.std)).entropy().sum(dim=-1)
    np.testing.assert_allclose(way.entropy(), expected.numpy())


def test_the_curve_of_the_entropy_goes_through_the_quantiles_and_is_kept_in_files() -> None:
    std = np.exp(np.linspace(0.0, 1.0, 11))[:, None, None].repeat(3, axis=1)  # eleven matches, three points, one latent
    way = BeliefTrace(np.array([0, 7, 9]), np.zeros_like(std), std)
    curve = way.entropy_curve()
    of_unit = 0.5 * math.log(2 * math.pi * math.e)
    assert curve.transitions == (0, 7, 9)
    for quantile, values in ((0.1, curve.low), (0.5, curve.median), (0.9, curve.high)):
        np.testing.assert_allclose(values, [quantile + of_unit] * 3)
    table = result(z_mean=np.zeros((2, 3, 2, 1)), z_std=np.ones((2, 3, 2, 1)), trace=way).table()
    assert table.entropy == curve
    restored = AdaptationTable.from_json(json.loads(json.dumps(table.to_json())))
    assert restored.entropy == curve
    assert result().table().entropy is None


@pytest.mark.parametrize(
    ("path", "transitions"),
    [((0, 4, 4, 4), 10), ((0, 1, 3.5, 4), 20), ((0, 4, 2, 4), 30), ((0, -4, 3, 4), 20)],
)
def test_a_belief_has_settled_when_it_stays_near_where_it_ends(path: tuple[float, ...], transitions: int) -> None:
    assert trace(*path).settled() == transitions
    np.testing.assert_allclose(trace(*path).distance()[0], np.abs(np.array(path) - path[-1]) / 4)


def test_the_trace_leads_from_the_prior_through_every_episodes_posterior() -> None:
    torch.manual_seed(0)
    agent = PEARL(FEATURES, SPACE, encoder=partial(MeanEncoder, latent_dim=2))
    played = evaluate_adaptation(CountingEnv(arenas=4), agent, [6, 7, 8], episodes=3, matches=2)
    way = played.trace
    assert way is not None
    assert HORIZON <= TRACE_POINTS  # so that every step is a point
    assert way.mean.shape == (6, 1 + 3 * HORIZON, 2)
    assert way.transitions.tolist() == [step * AGENTS for step in range(1 + 3 * HORIZON)]
    assert (way.mean[:, 0] == 0).all()
    assert (way.std[:, 0] == 1).all()
    for episode in range(3):
        point = (episode + 1) * HORIZON
        np.testing.assert_allclose(
            way.mean[:, point].reshape(3, 2, 2), played.z_mean[:, :, episode], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            way.std[:, point].reshape(3, 2, 2), played.z_std[:, :, episode], rtol=1e-4, atol=1e-5
        )
    assert played.table().settled_after == way.settled()


def test_the_map_of_beliefs_keeps_apart_what_is_apart() -> None:
    """Two kinds of tasks whose means differ in one of four latents lie apart along the first component."""
    z_mean = np.random.default_rng(0).normal(size=(2, 3, 2, 4)) * 0.01
    z_mean[1, ..., 2] += 5
    figure = plot_belief(result(z_mean=z_mean, trace=trace(0, 1, 2), kinds=("a", "b")))
    first, second = (points.get_offsets()[:, 0] for points in figure.axes[0].collections)
    assert abs(np.mean(first) - np.mean(second)) == pytest.approx(5, abs=0.1)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a", "b"]
    with pytest.raises(ValueError, match="result must be of an agent with a latent"):
        plot_belief(result())


NO_GAIN = "After one episode of a task, its return does not rise measurably: from 4.00 to 4.50."


@pytest.mark.parametrize(
    ("returns", "low", "wins", "sentence"),
    [
        ([4.0, 9.0], 3.0, None, "After one episode of a task, its return rises from 4.00 to 9.00."),
        (
            [4.0, 5.0, 9.0],
            3.0,
            ([0.5, 0.6, 0.9], 0.2),
            "After 2 episodes of a task, its return rises from 4.00 to 9.00, and it wins 90% of its matches instead "
            "of 50%.",
        ),
        ([4.0, 9.0], 3.0, ([0.5, 0.6], -0.1), "After one episode of a task, its return rises from 4.00 to 9.00."),
        ([4.0, 4.5], -0.1, None, NO_GAIN),
        ([4.0, 4.5], float("nan"), None, NO_GAIN),
        ([4.0], 0.0, None, "It played one episode per task, so adaptation was not measured."),
    ],
)  # fmt: skip
def test_the_finding_is_said_in_words_and_no_gain_is_claimed_that_is_not_measured(
    returns: list[float], low: float, wins: tuple[list[float], float] | None, sentence: str
) -> None:
    rates, win_low = ([None] * len(returns), 0.0) if wins is None else wins
    table = AdaptationTable(
        tasks=1,
        matches_per_task=2,
        env_steps=3,
        episodes=tuple(
            EpisodeRow(episode, value, value, value, value, win_rate=rate)
            for episode, (value, rate) in enumerate(zip(returns, rates, strict=True))
        ),
        gain=Interval(returns[-1] - returns[0], low, float("inf")),
        win_gain=None if wins is None else Interval(wins[0][-1] - wins[0][0], win_low, 1.0),
    )
    assert adaptation_sentence(table) == sentence
    assert (
        adaptation_sentence(table, "where the goal is") == f"The agent does not observe where the goal is. {sentence}"
    )
