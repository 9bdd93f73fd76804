"""PEARL's losses: who gets gradient from what, and the wiring against loops, TorchRL and finite differences."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from sac_reference import constant_noise, single_critic, torchrl_batch, torchrl_sac
from small_pearl import (
    LATENT,
    OBSERVATION,
    PRESETS,
    SPACES,
    TASKS,
    TRANSITIONS,
    losses,
    meta_batch,
    parameter_groups,
    read,
    small_pearl,
)
from torch import Tensor
from torch.distributions import (
    AffineTransform,
    Categorical,
    Independent,
    Normal,
    TanhTransform,
    TransformedDistribution,
    kl_divergence,
)

from pearl_lightning.action_space import ActionSpace
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.sac import HybridSAC, ValueSAC
from pearl_lightning.agents.temperatures import FixedTemperature, LearnedTemperature
from pearl_lightning.inference.auxiliary import AuxiliarySizes, Reconstruction, TaskInference
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.context import ContextLayout
from pearl_lightning.inference.encoders import ContextFreeEncoder
from pearl_lightning.inference.inferred import Inferred

REACHES = {
    "loss/critic": {"encoder", "critics"},
    "loss/kl": {"encoder"},
    "loss/actor": {"actor"},
    "loss/value": {"value"},
    "loss/temperature": {"temperature"},
}

SIZES = AuxiliarySizes(observation=2, action=1, latent=LATENT, descriptor=2)


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> ActionSpace:
    return SPACES[request.param]


@pytest.fixture(params=PRESETS)
def sac(request: pytest.FixtureRequest) -> partial[HybridSAC]:
    return PRESETS[request.param]


def reached(loss: Tensor, parameters: list[Tensor]) -> bool:
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return any(gradient is not None and bool((gradient != 0).any()) for gradient in gradients)


def test_each_loss_reaches_its_own_networks_and_no_other(space: ActionSpace, sac: partial[HybridSAC]) -> None:
    pearl = small_pearl(space, sac)
    terms = losses(pearl, meta_batch(space))
    assert set(terms) == set(REACHES) - ({"loss/temperature"} if sac.func is ValueSAC else {"loss/value"})
    groups = parameter_groups(pearl)
    for name, term in terms.items():
        assert {group for group, parameters in groups.items() if reached(term, parameters)} == REACHES[name], name
    assert not any(parameter.requires_grad for parameter in pearl.sac.target.parameters())


def test_gradients_equal_finite_differences(
    space: ActionSpace, sac: partial[HybridSAC], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Central differences along a random direction of each parameter, in double (the networks' outputs are cast to
    # float for bfloat16's sake). The target has no gradient although it depends on z: every transition ends its episode
    # here, so that the target is the reward alone.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.manual_seed(2)
    pearl = small_pearl(space, partial(sac, reward_scale=1.0)).double()
    batch = meta_batch(space).apply(lambda part: part.double() if part.is_floating_point() else part)
    batch["transitions", "terminated"] = torch.ones_like(batch["transitions", "terminated"])
    terms, groups = losses(pearl, batch), parameter_groups(pearl)
    for name, group in [(loss, part) for loss in terms for part in sorted(REACHES[loss])]:
        gradients = torch.autograd.grad(terms[name], groups[group], retain_graph=True)
        for parameter, gradient in zip(groups[group], gradients, strict=True):
            direction, value, step = torch.randn_like(parameter), parameter.data.clone(), 1e-6
            moved = []
            for sign in (1, -1):
                parameter.data = value + sign * step * direction
                moved.append(float(losses(pearl, batch)[name].detach()))
            parameter.data = value
            difference = (moved[0] - moved[1]) / (2 * step)
            assert difference == pytest.approx(float((gradient * direction).sum()), rel=1e-5, abs=1e-7)


@pytest.mark.usefixtures("fixed_noise")
def test_continuous_losses_and_the_encoders_gradient_equal_torchrls_sac() -> None:
    space = ActionSpace((-1.0, -1.0), (1.0, 1.0))
    temperature = partial(FixedTemperature, value=0.3)
    sac = partial(HybridSAC, discount=0.9, temperature=temperature, mean_penalty=0.0, log_std_penalty=0.0)
    pearl, batch = small_pearl(space, sac), meta_batch(space)
    batch["transitions", "action"] *= 0.9
    terms, rows = losses(pearl, batch), batch["transitions"].flatten()
    z_mean, z_std = pearl.encoder(read(pearl, batch))
    z = (z_mean + z_std * constant_noise(z_mean.shape)).repeat_interleave(TRANSITIONS, dim=0)
    theirs = torchrl_sac(pearl.actor, pearl.sac.critics, pearl.sac.target, temperature=0.3, discount=0.9)
    expected = theirs(
        torchrl_batch(
            torch.cat([rows["observation"], z], dim=-1),
            rows["action"],
            rows["reward"].squeeze(-1),
            torch.cat([rows["next_observation"], z.detach()], dim=-1),
            rows["terminated"],
        )
    )
    torch.testing.assert_close(terms["loss/critic"], expected["loss_qvalue"])
    torch.testing.assert_close(terms["loss/actor"], expected["loss_actor"])
    encoder = list(pearl.encoder.parameters())
    got = torch.autograd.grad(terms["loss/critic"], encoder, retain_graph=True)
    for ours, wanted in zip(got, torch.autograd.grad(expected["loss_qvalue"], encoder), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


def values_by_loops(pearl: PEARL, ensemble: str, observation: Tensor, z: Tensor) -> Tensor:
    """Soft values ``[batch]``: a loop over the joint choices, and torch.distributions for every density."""
    space, policy = pearl.action_space, pearl.actor(observation, z)
    normal = Normal(policy.mean, policy.log_std.exp())
    low, high = torch.tensor(space.low), torch.tensor(space.high)
    squash = [TanhTransform(), AffineTransform((low + high) / 2, (high - low) / 2)]
    squashed = Independent(TransformedDistribution(normal, squash), 1)
    action = policy.mean + policy.log_std.exp() * constant_noise(policy.mean.shape)
    for transform in squash:
        action = transform(action)
    inputs = torch.cat([observation, z, action], dim=-1)
    tables = torch.stack([single_critic(getattr(pearl.sac, ensemble), i)(inputs) for i in range(2)])
    choices = [Categorical(logits=logits) for logits in policy.log_choices]
    alphas = pearl.sac.temperature()
    value = -alphas[0] * squashed.log_prob(action)
    for alpha, choice in zip(alphas[1:], choices, strict=True):
        value = value + alpha * choice.entropy()
    for joint in range(space.joint_choices):
        probability = torch.ones(())
        if choices:
            options = space.choices[1]
            probability = choices[0].probs[:, joint // options] * choices[1].probs[:, joint % options]
        value = value + probability * torch.minimum(tables[0, :, joint], tables[1, :, joint])
    return value


@pytest.mark.usefixtures("fixed_noise")
def test_losses_equal_their_definition_written_as_loops(space: ActionSpace, sac: partial[HybridSAC]) -> None:
    sac = partial(sac, mean_penalty=0.3, log_std_penalty=0.2, reward_scale=3.0)
    pearl, batch = small_pearl(space, sac), meta_batch(space, n_steps=2)
    factors = torch.linspace(-1, 1, 1 + len(space.choices)).exp()
    if isinstance(pearl.sac.temperature, LearnedTemperature):
        pearl.sac.temperature.log_temperatures.data += factors.log()
    else:
        pearl.sac.temperature.values *= factors
    terms, rows = losses(pearl, batch), batch["transitions"].flatten()
    z_mean, z_std = pearl.encoder(read(pearl, batch))
    z = (z_mean + z_std * constant_noise(z_mean.shape)).repeat_interleave(TRANSITIONS, dim=0)
    if not isinstance(pearl.sac, ValueSAC):
        next_value = values_by_loops(pearl, "target", rows["next_observation"], z)
    else:
        state = torch.cat([rows["next_observation"], z], dim=-1)
        members = range(len(pearl.sac.target.weights[0]))
        next_value = torch.stack([single_critic(pearl.sac.target, i)(state) for i in members]).amin(0).squeeze(-1)
    discount = {HybridSAC: 0.99, ValueSAC: 0.9}[sac.func]
    paid = rows["reward"][:, 0] + discount * rows["reward"][:, 1]
    target = 3 * paid + discount ** rows["steps"] * (~rows["terminated"]).float() * next_value
    inputs = torch.cat([rows["observation"], z, rows["action"][:, : space.continuous]], dim=-1)
    critic = torch.zeros(())
    for member in range(2):
        table = single_critic(pearl.sac.critics, member)(inputs)
        played = torch.stack([row[index] for row, index in zip(table, space.joint_index(rows["action"]), strict=True)])
        critic = critic + (played - target).square().mean()
    torch.testing.assert_close(terms["loss/critic"], critic, rtol=1e-4, atol=1e-5)

    value, policy = values_by_loops(pearl, "critics", rows["observation"], z), pearl.actor(rows["observation"], z)
    penalty = 0.3 * policy.mean.square().mean() + 0.2 * policy.log_std.square().mean()
    if not space.continuous:  # no Gaussian, no penalty
        penalty = torch.zeros(())
    torch.testing.assert_close(terms["loss/actor"], penalty - value.mean(), rtol=1e-4, atol=1e-5)
    if isinstance(pearl.sac, ValueSAC):
        state = torch.cat([rows["observation"], z], dim=-1)
        members = range(len(pearl.sac.value.weights[0]))
        errors = [single_critic(pearl.sac.value, i)(state).squeeze(-1) - value for i in members]
        expected = torch.stack([error.square().mean() for error in errors]).sum()
        torch.testing.assert_close(terms["loss/value"], expected, rtol=1e-4, atol=1e-5)


def test_reconstruction_teaches_the_encoder_and_nobody_else(space: ActionSpace) -> None:
    """The loss of ``Reconstruction`` is the squared error of rewards and changes that the encoder reads."""
    torch.manual_seed(0)
    make = partial(Reconstruction, hidden=(16,), reward_weight=2.0, observation_weight=0.5)
    pearl = small_pearl(space, belief=BeliefConfig(context=ContextLayout(reward_scale=3.0)), auxiliary=[make])
    batch = meta_batch(space)
    term = losses(pearl, batch)["loss/reconstruction"]
    groups = parameter_groups(pearl) | {"reconstruction": list(pearl.auxiliary.parameters())}
    assert {group for group, ps in groups.items() if reached(term, ps)} == {"encoder", "reconstruction"}
    assert len(pearl.configure_optimizers()) == len(groups)

    pearl.noise.manual_seed(0)
    mean, std = pearl.encoder(read(pearl, batch))
    z = mean + std * torch.randn(mean.shape, generator=pearl.noise)
    [reconstruction] = pearl.auxiliary
    assert isinstance(reconstruction, Reconstruction)
    of_change, of_reward = [], []
    for task in range(TASKS):
        for episode in batch["context"][task]:
            for step in episode:
                for agent in range(2):
                    known = [step["observation"][agent], space.encode(step["action"][agent]), z[task]]
                    predicted = reconstruction.body(torch.cat(known))
                    of_reward.append((predicted[0] - 3.0 * step["reward"][agent]).square())
                    change = step["next_observation"][agent] - step["observation"][agent]
                    of_change.append((predicted[1:] - change).square().mean())
    expected = 2.0 * torch.stack(of_reward).mean() + 0.5 * torch.stack(of_change).mean()
    torch.testing.assert_close(term, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["reward_weight", "observation_weight"])
def test_a_negative_weight_of_the_reconstruction_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 0 and finite, got -1"):
        Reconstruction(SIZES, **{name: -1.0})


def test_auxiliary_losses_see_observations_as_the_other_networks_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is that of the normalized observation."""
    space, seen = SPACES["continuous"], []
    pearl = small_pearl(space, auxiliary=[Reconstruction], normalize_observations=True)
    batch = meta_batch(space)
    for name in ("observation", "next_observation"):
        for part in ("transitions", "context"):
            batch[part, name] = 1000 * batch[part, name]
    pearl.update_statistics(batch)
    monkeypatch.setattr(Reconstruction, "loss", lambda self, inferred: seen.append(inferred) or inferred.z.sum())
    losses(pearl, batch)
    assert pearl.norm is not None
    change, observation = seen[0].transitions[..., :OBSERVATION], seen[0].transitions[..., OBSERVATION:][..., :6]
    context = batch["context"].flatten(1, 2)
    before, after = (pearl.norm(context[name]).flatten(1, 2) for name in ("observation", "next_observation"))
    torch.testing.assert_close(observation, before)
    torch.testing.assert_close(change, after - before, rtol=1e-4, atol=1e-4)
    assert torch.equal(seen[0].transitions[..., -1], context["reward"].flatten(1, 2))


def test_the_first_numbers_of_z_are_taught_what_tells_the_task_and_half_the_tasks_are_told() -> None:
    """A told task's z is what tells it, whatever its context says; all are judged by how z tells them."""
    space = SPACES["hybrid"]
    told = torch.randn(TASKS, 2, generator=torch.Generator().manual_seed(1))
    taught = partial(TaskInference, weight=0.3, informed_share=0.5)
    pearl, plain = small_pearl(space, descriptor_features=2, auxiliary=[taught]), small_pearl(space)
    plain.load_state_dict(pearl.state_dict())
    batch = meta_batch(space)
    batch["descriptor"] = told
    terms = losses(pearl, batch)
    assert reached(terms["loss/task_inference"], list(pearl.encoder.parameters()))

    def posterior() -> tuple[Tensor, Tensor]:
        return pearl.encoder(read(pearl, batch))

    pearl.noise.manual_seed(0)
    mean, std = posterior()
    z = mean + std * torch.randn(mean.shape, generator=pearl.noise)
    errors = [(z[task, number] - told[task, number]).square() for task in range(TASKS) for number in range(2)]
    torch.testing.assert_close(terms["loss/task_inference"], 0.3 * torch.stack(errors).sum() / TASKS)

    given = z.detach().clone()
    given[: TASKS // 2, :2] = told[: TASKS // 2]
    with pytest.MonkeyPatch.context() as patch:  # the rest is as if the posterior had been at what was given
        patch.setattr(plain, "encoder", GivenPosterior(given))
        expected = losses(plain, batch)
    for name in ("loss/critic", "loss/actor"):
        torch.testing.assert_close(terms[name], expected[name])


@pytest.mark.parametrize(("share", "told_tasks"), [(0.0, 0), (0.5, 2), (1.0, 3)])
def test_what_a_task_was_told_teaches_the_encoder_nothing(share: float, told_tasks: int) -> None:
    mean, std = (torch.rand(3, LATENT, requires_grad=True) for _ in range(2))
    told, empty = torch.randn(3, 2), torch.empty(3, 0)
    inferred = Inferred(ContextFreeEncoder(1), empty, empty, mean, std, torch.zeros_like(mean), mean, told)
    informed = TaskInference(SIZES, informed_share=share).informed(mean, std, inferred)
    is_told = torch.zeros(3, LATENT, dtype=torch.bool)
    is_told[:told_tasks, :2] = True
    assert torch.equal(informed[0][is_told], told[:told_tasks].flatten())
    assert torch.equal(informed[1][is_told], torch.zeros(2 * told_tasks))  # certain
    for given, own in zip(informed, (mean, std), strict=True):
        assert torch.equal(given[~is_told], own[~is_told])
        [gradient] = torch.autograd.grad(given.sum(), own)
        torch.testing.assert_close(gradient, (~is_told).float())


class GivenPosterior(torch.nn.Module):
    """An encoder that is sure of a z, whatever it reads."""

    latent_dim = LATENT

    def __init__(self, z: Tensor) -> None:
        super().__init__()
        self.z = z

    def forward(self, context: Tensor, played: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.z, torch.full_like(self.z, 1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": 0.0}, "TaskInference's weight must be above 0 and finite, got 0.0"),
        ({"informed_share": 1.5}, r"informed_share must be in \[0, 1\], got 1.5"),
    ],
)
def test_a_wrong_task_inference_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TaskInference(SIZES, **settings)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (0, "TaskInference needs tasks with descriptors, .*, got descriptor_features 0"),
        (LATENT + 1, f"latent_dim must be at least the {LATENT + 1} numbers of a descriptor .*, got {LATENT}"),
    ],
)
def test_z_must_have_room_for_what_tells_the_tasks(numbers: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_pearl(SPACES["hybrid"], descriptor_features=numbers, auxiliary=[TaskInference])


@pytest.mark.parametrize("name", ["reconstruction", "critic"])
def test_an_auxiliary_loss_whose_name_is_taken_is_refused(name: str) -> None:
    class Named(Reconstruction):
        pass

    Named.name = name
    with pytest.raises(ValueError, match=f"auxiliary losses must have different names, got {name} twice"):
        small_pearl(SPACES["hybrid"], auxiliary=[Reconstruction, Named])


def test_kl_is_a_mean_over_tasks() -> None:
    pearl = small_pearl(SPACES["continuous"], kl_weight=0.2)
    batch = meta_batch(SPACES["continuous"])
    posterior = Normal(*pearl.encoder(read(pearl, batch)))
    divergence = kl_divergence(posterior, Normal(0.0, 1.0))
    assert divergence.shape == (TASKS, LATENT)
    torch.testing.assert_close(losses(pearl, batch)["loss/kl"], 0.2 * divergence.sum(-1).mean())


def test_permuting_the_context_changes_no_loss(space: ActionSpace, sac: partial[HybridSAC]) -> None:
    pearl, batch = small_pearl(space, sac), meta_batch(space, steps=20)
    shuffled = batch.clone()
    shuffled["context"] = shuffled["context"][:, [1, 0]][:, :, torch.randperm(20)]
    assert not torch.equal(shuffled["context", "reward"], batch["context", "reward"])
    for name, term in losses(pearl, shuffled).items():
        torch.testing.assert_close(term, losses(pearl, batch)[name], rtol=1e-4, atol=1e-5)


def test_bfloat16_changes_the_losses_by_rounding_only(space: ActionSpace, sac: partial[HybridSAC]) -> None:
    torch.manual_seed(0)
    pearl, batch = small_pearl(space, partial(sac, reward_scale=1.0)), meta_batch(space)
    exact = losses(pearl, batch)
    with torch.autocast("cpu", torch.bfloat16):  # as Lightning's precision "bf16-mixed" has it
        rounded = losses(pearl, batch)
    for name, term in rounded.items():
        assert term.dtype == torch.float32
        assert not torch.equal(term, exact[name]) or name == "loss/temperature"
        torch.testing.assert_close(term, exact[name], rtol=0.05, atol=0.05)
