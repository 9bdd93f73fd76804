"""PEARL's losses: who gets gradient from what, and the wiring against loops, TorchRL and finite differences."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from sac_reference import constant_noise, single_critic, torchrl_batch, torchrl_sac
from small_pearl import LATENT, PRESETS, SPACES, TASKS, TRANSITIONS, losses, meta_batch, parameter_groups, small_pearl
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
from pearl_lightning.networks.reconstruction import Reconstruction
from pearl_lightning.objectives import SacConfig, TaskInference, inform
from pearl_lightning.pearl import PEARL

REACHES = {
    "loss/critic": {"encoder", "critics"},
    "loss/kl": {"encoder"},
    "loss/actor": {"actor"},
    "loss/value": {"value"},
    "loss/temperature": {"temperature"},
}


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> ActionSpace:
    return SPACES[request.param]


@pytest.fixture(params=PRESETS)
def sac(request: pytest.FixtureRequest) -> SacConfig:
    return PRESETS[request.param]


def reached(loss: Tensor, parameters: list[Tensor]) -> bool:
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return any(gradient is not None and bool((gradient != 0).any()) for gradient in gradients)


def test_each_loss_reaches_its_own_networks_and_no_other(space: ActionSpace, sac: SacConfig) -> None:
    pearl = small_pearl(space, sac)
    terms = losses(pearl, meta_batch(space))
    assert set(terms) == set(REACHES) - ({"loss/temperature"} if sac.value_network else {"loss/value"})
    groups = parameter_groups(pearl)
    for name, term in terms.items():
        assert {group for group, parameters in groups.items() if reached(term, parameters)} == REACHES[name], name
    assert not any(parameter.requires_grad for parameter in pearl.target.parameters())


def test_gradients_equal_finite_differences(
    space: ActionSpace, sac: SacConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Central differences along a random direction of each parameter, in double (the networks' outputs are cast to
    # float for bfloat16's sake). The target has no gradient although it depends on z: every transition ends its episode
    # here, so that the target is the reward alone.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.manual_seed(2)
    pearl = small_pearl(space, replace(sac, reward_scale=1.0)).double()
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
    sac = SacConfig(discount=0.9, temperature=0.3, mean_penalty=0.0, log_std_penalty=0.0)
    pearl, batch = small_pearl(space, sac), meta_batch(space)
    batch["transitions", "action"] *= 0.9
    terms, rows = losses(pearl, batch), batch["transitions"].flatten()
    z_mean, z_std = pearl.encoder(pearl.context_features(batch["context"]))
    z = (z_mean + z_std * constant_noise(z_mean.shape)).repeat_interleave(TRANSITIONS, dim=0)
    theirs = torchrl_sac(pearl.actor, pearl.critics, pearl.target, temperature=0.3, discount=0.9)
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
    tables = torch.stack([single_critic(getattr(pearl, ensemble), i)(inputs) for i in range(2)])
    choices = [Categorical(logits=logits) for logits in policy.log_choices]
    alphas = pearl.log_temperatures.exp()
    value = -alphas[0] * squashed.log_prob(action)
    for alpha, choice in zip(alphas[1:], choices, strict=True):
        value = value + alpha * choice.entropy()
    for joint in range(space.joint_choices):
        probability = torch.ones(())
        if choices:
            probability = choices[0].probs[:, joint // 8] * choices[1].probs[:, joint % 8]
        value = value + probability * torch.minimum(tables[0, :, joint], tables[1, :, joint])
    return value


@pytest.mark.usefixtures("fixed_noise")
def test_losses_equal_their_definition_written_as_loops(space: ActionSpace, sac: SacConfig) -> None:
    sac = replace(sac, mean_penalty=0.3, log_std_penalty=0.2, pre_tanh_penalty=0.1, reward_scale=3.0)
    pearl, batch = small_pearl(space, sac), meta_batch(space, n_steps=2)
    pearl.log_temperatures.data += torch.linspace(-1, 1, 1 + len(space.choices))
    terms, rows = losses(pearl, batch), batch["transitions"].flatten()
    z_mean, z_std = pearl.encoder(pearl.context_features(batch["context"]))
    z = (z_mean + z_std * constant_noise(z_mean.shape)).repeat_interleave(TRANSITIONS, dim=0)
    if pearl.value is None:
        next_value = values_by_loops(pearl, "target", rows["next_observation"], z)
    else:
        state = torch.cat([rows["next_observation"], z], dim=-1)
        members = range(len(pearl.target.weights[0]))
        next_value = torch.stack([single_critic(pearl.target, i)(state) for i in members]).amin(0).squeeze(-1)
    paid = rows["reward"][:, 0] + sac.discount * rows["reward"][:, 1]
    target = 3 * paid + sac.discount ** rows["steps"] * (~rows["terminated"]).float() * next_value
    inputs = torch.cat([rows["observation"], z, rows["action"][:, : space.continuous]], dim=-1)
    critic = torch.zeros(())
    for member in range(2):
        table = single_critic(pearl.critics, member)(inputs)
        played = torch.stack([row[index] for row, index in zip(table, space.joint_index(rows["action"]), strict=True)])
        critic = critic + (played - target).square().mean()
    torch.testing.assert_close(terms["loss/critic"], critic, rtol=1e-4, atol=1e-5)

    value, policy = values_by_loops(pearl, "critics", rows["observation"], z), pearl.actor(rows["observation"], z)
    pre_tanh = policy.mean + policy.log_std.exp() * constant_noise(policy.mean.shape)
    penalty = 0.3 * policy.mean.square().mean() + 0.2 * policy.log_std.square().mean()
    penalty = penalty + 0.1 * pre_tanh.square().sum(-1).mean()
    torch.testing.assert_close(terms["loss/actor"], penalty - value.mean(), rtol=1e-4, atol=1e-5)
    if pearl.value is not None:
        state = torch.cat([rows["observation"], z], dim=-1)
        members = range(len(pearl.value.weights[0]))
        errors = [single_critic(pearl.value, i)(state).squeeze(-1) - value for i in members]
        expected = torch.stack([error.square().mean() for error in errors]).sum()
        torch.testing.assert_close(terms["loss/value"], expected, rtol=1e-4, atol=1e-5)


def test_reconstruction_teaches_the_encoder_and_nobody_else(space: ActionSpace) -> None:
    """Its loss is the squared error of rewards and changes that the encoder reads."""
    torch.manual_seed(0)
    make = partial(Reconstruction, hidden=(16,), reward_weight=2.0, observation_weight=0.5)
    pearl = small_pearl(space, context_reward_scale=3.0, reconstruction=make)
    batch = meta_batch(space)
    term = losses(pearl, batch)["loss/reconstruction"]
    groups = parameter_groups(pearl) | {"reconstruction": list(pearl.reconstruction.parameters())}  # type: ignore[union-attr]
    assert {group for group, ps in groups.items() if reached(term, ps)} == {"encoder", "reconstruction"}
    assert len(pearl.configure_optimizers()) == len(groups)

    pearl.noise.manual_seed(0)
    mean, std = pearl.encoder(pearl.context_features(batch["context"]))
    z = mean + std * torch.randn(mean.shape, generator=pearl.noise)
    reconstruction = pearl.reconstruction
    assert reconstruction is not None
    of_change, of_reward = [], []
    for task in range(TASKS):
        for episode in batch["context"][task]:
            for step, following in pairwise(episode):
                for agent in range(2):
                    read = [step["observation"][agent], space.encode(step["action"][agent]), z[task]]
                    predicted = reconstruction.body(torch.cat(read))
                    of_reward.append((predicted[0] - 3.0 * step["reward"][agent]).square())
                    change = following["observation"][agent] - step["observation"][agent]
                    of_change.append((predicted[1:] - change).square().mean())
    expected = 2.0 * torch.stack(of_reward).mean() + 0.5 * torch.stack(of_change).mean()
    torch.testing.assert_close(term, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["reward_weight", "observation_weight"])
def test_a_negative_weight_of_the_reconstruction_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 0 and finite, got -1"):
        Reconstruction(3, 2, 1, **{name: -1.0})


def test_the_first_numbers_of_z_are_taught_what_tells_the_task_and_half_the_tasks_are_told() -> None:
    """A told task's z is what tells it, whatever its context says; all are judged by how z tells them."""
    space = SPACES["hybrid"]
    told = torch.randn(TASKS, 2, generator=torch.Generator().manual_seed(1))
    settings = {"descriptor_features": 2, "task_inference": TaskInference(weight=0.3, informed_share=0.5)}
    pearl, plain = small_pearl(space, **settings), small_pearl(space)
    plain.load_state_dict(pearl.state_dict())
    batch = meta_batch(space)
    batch["descriptor"] = told
    terms = losses(pearl, batch)
    assert reached(terms["loss/task_inference"], list(pearl.encoder.parameters()))

    def posterior() -> tuple[Tensor, Tensor]:
        return pearl.encoder(pearl.context_features(batch["context"]))

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
    z, told = torch.randn(3, LATENT, requires_grad=True), torch.randn(3, 2)
    [gradient] = torch.autograd.grad(inform(z, told, share).sum(), z)
    expected = torch.ones(3, LATENT)
    expected[:told_tasks, :2] = 0
    torch.testing.assert_close(gradient, expected)


class GivenPosterior(torch.nn.Module):
    """An encoder that is sure of a z, whatever it reads."""

    latent_dim = LATENT

    def __init__(self, z: Tensor) -> None:
        super().__init__()
        self.z = z

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor]:
        return self.z, torch.full_like(self.z, 1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": 0.0}, "task_inference's weight must be above 0 and finite, got 0.0"),
        ({"informed_share": 1.5}, r"informed_share must be in \[0, 1\], got 1.5"),
    ],
)
def test_a_wrong_task_inference_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TaskInference(**settings)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (0, "task_inference must be null for tasks without descriptors, .*, got 0"),
        (LATENT + 1, f"latent_dim must be at least the {LATENT + 1} numbers that tell a task .*, got {LATENT}"),
    ],
)
def test_z_must_have_room_for_what_tells_the_tasks(numbers: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_pearl(SPACES["hybrid"], descriptor_features=numbers, task_inference=TaskInference())


@pytest.mark.parametrize(("over_tasks", "factor"), [("mean", 1), ("sum", TASKS)])
def test_kl_is_the_mean_over_tasks_or_the_originals_sum(over_tasks: str, factor: int) -> None:
    pearl = small_pearl(SPACES["continuous"], SacConfig(kl_weight=0.2, kl_over_tasks=over_tasks))
    batch = meta_batch(SPACES["continuous"])
    posterior = Normal(*pearl.encoder(pearl.context_features(batch["context"])))
    divergence = kl_divergence(posterior, Normal(0.0, 1.0))
    assert divergence.shape == (TASKS, LATENT)
    torch.testing.assert_close(losses(pearl, batch)["loss/kl"], 0.2 * factor * divergence.sum(-1).mean())


def test_permuting_the_context_changes_no_loss(space: ActionSpace, sac: SacConfig) -> None:
    pearl, batch = small_pearl(space, sac), meta_batch(space, steps=20)
    shuffled = batch.clone()
    order = torch.cat([torch.randperm(20), torch.tensor([20])])
    shuffled["context"] = shuffled["context"][:, [1, 0]][:, :, order]
    assert not torch.equal(shuffled["context", "reward"], batch["context", "reward"])
    for name, term in losses(pearl, shuffled).items():
        torch.testing.assert_close(term, losses(pearl, batch)[name], rtol=1e-4, atol=1e-5)


def test_bfloat16_changes_the_losses_by_rounding_only(space: ActionSpace, sac: SacConfig) -> None:
    torch.manual_seed(0)
    pearl, batch = small_pearl(space, replace(sac, reward_scale=1.0)), meta_batch(space)
    exact = losses(pearl, batch)
    with torch.autocast("cpu", torch.bfloat16):  # as Lightning's precision "bf16-mixed" has it
        rounded = losses(pearl, batch)
    for name, term in rounded.items():
        assert term.dtype == torch.float32
        assert not torch.equal(term, exact[name]) or name == "loss/temperature"
        torch.testing.assert_close(term, exact[name], rtol=0.05, atol=0.05)


@pytest.mark.parametrize(("entropy_missing", "sign"), [(50.0, -1), (-50.0, 1)])
def test_descent_raises_a_temperature_whose_entropy_is_below_target(entropy_missing: float, sign: int) -> None:
    pearl = small_pearl(SPACES["hybrid"])
    pearl.target_entropies += entropy_missing
    gradient = torch.autograd.grad(
        losses(pearl, meta_batch(SPACES["hybrid"]))["loss/temperature"], pearl.log_temperatures
    )
    assert gradient[0].sign().tolist() == [sign] * 3


def test_target_entropies_are_per_component_and_a_share_of_the_largest_per_choice() -> None:
    sac = SacConfig(target_entropy=-0.7, target_choice_entropy=0.25)
    expected = [-2.1, 0.25 * math.log(4), 0.25 * math.log(8)]
    assert small_pearl(SPACES["hybrid"], sac).target_entropies.tolist() == pytest.approx(expected)
