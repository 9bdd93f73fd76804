"""Exported programs against the agent they were made of, and what is written beside them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

import pearl_lightning
from examples.play_exported import Player, start_session
from pearl_lightning import export
from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.evolution_strategy import EvolutionStrategy
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.ppo import PPO
from pearl_lightning.agents.sac import HybridSAC
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.tasks import LoadoutTasks
from pearl_lightning.experience.player import Player as LibraryPlayer
from pearl_lightning.export import encoder_program, export_agent, onnx_program, policy_program
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.conditions import MeanCondition, PosteriorCondition, SampledCondition
from pearl_lightning.inference.context import ContextLayout
from pearl_lightning.inference.encoders import (
    AttentionEncoder,
    BayesianProductEncoder,
    ContextEncoder,
    ContextFreeEncoder,
    GaussianProductEncoder,
    MeanEncoder,
    RecurrentEncoder,
)
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble
from pearl_lightning.networks.distributions import HybridTanhGaussian

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]  # the fixture counts the exporter's lines

SPACE = ActionSpace((-1.0, -1.0, 0.0), (1.0, 1.0, 1.0), (4, 8))
FEATURES, LATENT, ARENAS, STEPS = 64, 3, 2, 24


def small_agent(encoder: Any = GaussianProductEncoder, actor: Any = Actor, **settings: Any) -> PEARL:
    torch.manual_seed(0)
    sized = encoder if encoder is ContextFreeEncoder else partial(encoder, latent_dim=LATENT, hidden=(16,))
    sac = partial(HybridSAC, actor=partial(actor, hidden=(16,)), critic=partial(CriticEnsemble, hidden=(8,)))
    return PEARL(FEATURES, SPACE, encoder=sized, sac=sac, **settings)


def in_onnxruntime(program: torch.export.ExportedProgram, folder: Path) -> onnxruntime.InferenceSession:
    onnx_program(program).save(folder / "program.onnx")
    return start_session(folder / "program.onnx")


def answers(session: onnxruntime.InferenceSession, **inputs: Tensor) -> dict[str, Tensor]:
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {name: value.numpy() for name, value in inputs.items()})
    return dict(zip(names, map(torch.from_numpy, values), strict=True))


def assert_near(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


LAYOUT = ContextLayout(stride=5, salient=9, next_observation=True, reward_scale=3.0)
BELIEFS = {
    "one sample": BeliefConfig(context=LAYOUT),
    "samples": BeliefConfig(context=LAYOUT, resample_every=10),
    "samples, observing": BeliefConfig(context=LAYOUT, observe_every=4, resample_every=10),
    "posterior, observing": BeliefConfig(context=LAYOUT, observe_every=4, condition=PosteriorCondition),
    "mean, observing": BeliefConfig(context=LAYOUT, observe_every=4, condition=MeanCondition),
    "mean, all steps": BeliefConfig(observe_every=4, condition=MeanCondition),
}


@pytest.fixture(scope="module")
def agent() -> PEARL:
    return small_agent(belief=BELIEFS["samples, observing"])


@pytest.fixture(scope="module")
def written(agent: PEARL, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of ``agent``, in a folder that is made."""
    return export_agent(agent, tmp_path_factory.mktemp("export") / "new", {"observe_time": True})


def one_step(observation: Tensor, action: Tensor, reward: Tensor, following: Tensor, done: bool) -> TensorDict:
    """A step ``[arena, 1]`` as a belief takes it in."""
    parts = {"observation": observation, "action": action, "reward": reward, "next_observation": following}
    step = TensorDict({name: part.unsqueeze(1) for name, part in parts.items()}, batch_size=[ARENAS, 1])
    return step.set("done", torch.full((ARENAS, 1), done))


@pytest.mark.parametrize("kind", BELIEFS)
def test_a_match_is_played_and_read_as_the_agent_does(kind: str, tmp_path: Path) -> None:
    """From the prior on, and after an adaptation."""
    agent = small_agent(belief=BELIEFS[kind])
    export_agent(agent, tmp_path)
    exported, player = Player(tmp_path, ARENAS), LibraryPlayer(agent, ARENAS, deterministic=True)
    program = torch.export.load(tmp_path / "policy.pt2").module()
    tasks = LoadoutTasks(train_tasks=ARENAS, test_tasks=0, bounties="shaped")
    env = DerkEnv(arenas=ARENAS, tasks=tasks, backend_options={"episode_ticks": 8 * STEPS, "threads": 1})
    belief, drawn = agent.prior(ARENAS), []
    for _ in range(2):
        believed = belief.posterior()
        observation = env.begin(list(tasks.train))
        for step in range(STEPS):
            action = torch.from_numpy(exported.act(observation.numpy()))
            if agent.observe_every and step % agent.observe_every == 0:
                believed = belief.posterior()
            for own, expected in zip((exported.mean, exported.std), believed, strict=True):
                assert_near(torch.from_numpy(own), expected)
            condition = torch.from_numpy(exported.condition)
            drawn.append(condition)
            assert_near(action, agent.act(observation, condition, deterministic=True))
            if not isinstance(agent.condition, SampledCondition):
                assert_near(condition, agent.condition(*believed, torch.zeros_like(believed[0])))
                assert_near(action, player.act(observation))
            of_program = program(observation=observation.flatten(0, 1), condition=condition.repeat_interleave(3, dim=0))
            assert_near(of_program["action"], action.flatten(0, 1))
            result = env.advance(action)
            reward = result["reward"] + torch.randn(ARENAS, 3)  # among equal ones each may find others salient
            following = result["observation"]
            belief.observe(one_step(observation, action, reward, following, step == STEPS - 1))
            exported.observe(reward.numpy())
            player.observe(reward, following)
            observation = following
        exported.end(observation.numpy())
        if not isinstance(agent.condition, SampledCondition):
            player.end()
        for own, expected in zip((exported.mean, exported.std), belief.posterior(), strict=True):
            assert_near(torch.from_numpy(own), expected)
    env.close()
    assert belief.posterior()[0].abs().max() > 0.01  # it did read something
    periods = [each for each in (agent.observe_every, agent.resample_every) if each]
    due = [n for n in range(1, 2 * STEPS) if n == STEPS or any(n % STEPS % period == 0 for period in periods)]
    assert [n for n in range(1, 2 * STEPS) if not torch.equal(drawn[n], drawn[n - 1])] == due


def test_an_exported_agent_draws_z_from_its_posterior(tmp_path: Path) -> None:
    agent, arenas = small_agent(belief=BeliefConfig(observe_every=4)), 20_000
    export_agent(agent, tmp_path)
    player = Player(tmp_path, arenas)
    player.mean[:], player.std[:] = np.array([0.5, -2.0, 0.0]), np.array([0.1, 1.0, 3.0])
    z = player.draw_condition()
    assert (np.abs(z.mean(axis=0) - player.mean[0]) < 4 * player.std[0] / arenas**0.5).all()
    np.testing.assert_allclose(z.std(axis=0), player.std[0], rtol=0.03)


def test_the_policys_distribution_is_the_actors_whatever_the_batch(tmp_path: Path) -> None:
    agent = small_agent()
    program = policy_program(agent)
    session = in_onnxruntime(program, tmp_path)
    for batch in (1, 3, 7):
        inputs = {"observation": torch.randn(batch, FEATURES), "condition": torch.randn(batch, LATENT)}
        expected = agent.actor(**inputs)
        for outputs in (program.module()(**inputs), answers(session, **inputs)):
            assert list(outputs) == ["action", "mean", "log_std", "logits"]
            assert_near(outputs["action"], expected.mode())
            assert_near(outputs["mean"], expected.mean)
            assert_near(outputs["log_std"], expected.log_std)
            assert_near(outputs["logits"], torch.cat(expected.log_choices, dim=-1))


@pytest.mark.parametrize(
    "encoder", [GaussianProductEncoder, BayesianProductEncoder, MeanEncoder, AttentionEncoder, RecurrentEncoder]
)
def test_an_encoder_fed_in_parts_ends_where_the_belief_does(encoder: type[ContextEncoder], tmp_path: Path) -> None:
    agent = small_agent(encoder)
    program = encoder_program(agent)
    session = in_onnxruntime(program, tmp_path)
    zeros = torch.zeros(1, *export.describe(agent)["state"])
    for batch, sizes in ((1, [4]), (3, [1]), (7, [60]), (7, [1, 59])):
        context = torch.randn(batch, sum(sizes), agent.encoder.context_features)
        state = agent.encoder.update(agent.encoder.initial_state(batch), context).detach()
        mean, std = (part.detach() for part in agent.encoder.posterior(state))
        for run in (partial(answers, session), program.module()):
            outputs = {"new_state": zeros.repeat(batch, *[1] * (zeros.ndim - 1))}
            for part in context.split(sizes, dim=1):
                outputs = run(context=part.contiguous(), state=outputs["new_state"])
            torch.testing.assert_close(outputs["new_state"], state, rtol=1e-5, atol=1e-4)  # sums
            assert_near(outputs["mean"], mean)
            assert_near(outputs["std"], std)


def test_zeros_are_a_fresh_state_task_by_task() -> None:
    """The attention's own fresh state is another."""
    agent = small_agent(AttentionEncoder)
    program = encoder_program(agent).module()
    first, second = torch.randn(2, 2, 5, agent.encoder.context_features)
    state = program(context=first, state=torch.zeros(2, *export.describe(agent)["state"]))["new_state"]
    state[1] = 0
    mixed = program(context=second, state=state)
    mean, _ = agent.encoder(second)
    assert_near(mixed["mean"][1], mean[1].detach())
    assert not torch.allclose(mixed["mean"][0], mean[0])


@pytest.mark.parametrize("kind", ["ppo", "context_free"])
def test_an_agent_without_context_has_a_policy_only(kind: str, tmp_path: Path) -> None:
    agent = PPO(FEATURES, SPACE, partial(Actor, hidden=(16,))) if kind == "ppo" else small_agent(ContextFreeEncoder)
    (tmp_path / "encoder.onnx").write_text("of an earlier export")
    written = export_agent(agent, tmp_path)
    assert {path.name for path in written} == {"policy.onnx", "policy.pt2", "agent.json"}
    assert set(tmp_path.iterdir()) == set(written)
    description = json.loads((tmp_path / "agent.json").read_text())
    assert description["latent_dim"] == 0
    assert not [name for name in description if name.startswith("context")]
    player, observation = Player(tmp_path, 4), torch.randn(4, 3, FEATURES)
    player.act(torch.randn(4, 3, FEATURES).numpy())
    player.observe(np.zeros((4, 3), np.float32))
    player.end(observation.numpy())  # there is nothing to adapt
    action = torch.from_numpy(player.act(observation.numpy()))
    assert_near(action, agent.act(observation, torch.zeros(4, 0), deterministic=True))


def test_continuous_actions_have_no_logits(tmp_path: Path) -> None:
    agent = PPO(FEATURES, ActionSpace((-1.0,), (2.0,)), partial(Actor, hidden=(16,)))
    session = in_onnxruntime(policy_program(agent), tmp_path)
    assert [output.name for output in session.get_outputs()] == ["action", "mean", "log_std"]


def test_samples_of_the_player_are_of_the_policy(tmp_path: Path) -> None:
    """In 20,000 draws, the shares of choices are their probabilities, and the Gaussian's median is its mean."""
    agent = small_agent(ContextFreeEncoder)
    export_agent(agent, tmp_path)
    rows = 20_000
    observation = torch.randn(1, 1, FEATURES).expand(rows, 1, -1)
    player = Player(tmp_path, rows, sampled=True)
    action = torch.from_numpy(player.act(observation.numpy()))
    assert SPACE.spec((rows, 1)).is_in(action)
    policy = agent.actor(observation[0], torch.zeros(1, 0))
    for column, log_choice in zip((3, 4), policy.log_choices, strict=True):
        shares = action[:, 0, column].long().bincount(minlength=log_choice.shape[-1]) / rows
        torch.testing.assert_close(shares, log_choice[0].exp(), rtol=0, atol=0.02)
    median = action[:, 0, :3].median(dim=0).values
    torch.testing.assert_close(median, policy.squash(policy.mean)[0], rtol=0, atol=0.05)


def test_the_files_say_what_a_player_needs_and_name_no_place(written: list[Path]) -> None:
    assert written[-1].name == "agent.json"
    description = json.loads(written[-1].read_text())
    expected = {
        "observation_features": FEATURES,
        "latent_dim": LATENT,
        "action": {"low": [-1.0, -1.0, 0.0], "high": [1.0, 1.0, 1.0], "choices": [4, 8]},
        "context_features": 2 * FEATURES + 15 + 1,
        "context": {"stride": 5, "reward_of": "stride", "salient": 9, "next_observation": True, "reward_scale": 3.0},
        "condition": "SampledCondition",
        "observe_every": 4,
        "resample_every": 10,
        "state": [2, LATENT],
        "observe_time": True,
    }
    assert expected.items() <= description.items()
    assert description["versions"]["torch"] == torch.__version__
    place = str(Path(pearl_lightning.__file__).parent).encode()
    assert not [path for path in written if place in path.read_bytes()]


class LookingActor(Actor):
    """Decides by numbers which way to compute."""

    def forward(self, observation: Tensor, condition: Tensor) -> HybridTanhGaussian:
        return super().forward(observation if observation.sum() > 0 else -observation, condition)


def test_what_cannot_be_exported_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="agent must have an Actor of pearl_lightning.networks, got Evolution"):
        export_agent(EvolutionStrategy(FEATURES, SPACE, members=2, kept=1), tmp_path)
    with pytest.raises(ValueError, match="torch.export must be able to read the agent's LookingActor, but: [^\n]+$"):
        export_agent(small_agent(actor=LookingActor), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_agent_is_left_as_it_is(tmp_path: Path) -> None:
    agent = small_agent(RecurrentEncoder).train()
    before = {name: value.clone() for name, value in agent.state_dict().items()}
    policy_program(agent), encoder_program(agent)
    assert agent.training
    assert agent.encoder.training
    assert list(agent.state_dict()) == list(before)
    assert isinstance(agent.encoder.unit, torch.nn.GRU)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(
        RuntimeError, match=r"export needs onnx and onnxscript: pip install 'pearl-lightning\[export\]'"
    ):
        export_agent(small_agent(), tmp_path)


def test_an_agent_acts_and_is_exported_again_after_an_export() -> None:
    """With an action space that nothing has used before: an export computes with stand-ins for tensors."""
    torch.manual_seed(0)
    agent = PEARL(4, ActionSpace((-0.25,), (3.5,), (3,)))
    for _ in range(2):
        exported = policy_program(agent).module()
        action = agent.act(torch.zeros(2, 1, 4), torch.ones(2, agent.encoder.latent_dim), deterministic=True)
        assert type(action) is Tensor
        condition = torch.ones(2, agent.encoder.latent_dim)
        assert_near(exported(observation=torch.zeros(2, 4), condition=condition)["action"], action.squeeze(1))
