from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from pearl_lightning.action_space import ActionSpace


@pytest.fixture
def hybrid() -> ActionSpace:
    return ActionSpace(low=(-1.0, 0.0), high=(1.0, 3.0), choices=(4, 8))


@pytest.fixture
def continuous() -> ActionSpace:
    return ActionSpace(low=(-1.0, -2.0), high=(1.0, 0.0))


@pytest.fixture
def discrete() -> ActionSpace:
    return ActionSpace(low=(), high=(), choices=(4, 3))


def assert_legal(space: ActionSpace, action: Tensor) -> None:
    numbers, choices = action[..., : space.continuous], action[..., space.continuous :]
    assert (numbers >= torch.tensor(space.low)).all()
    assert (numbers <= torch.tensor(space.high)).all()
    assert torch.equal(choices, choices.round())
    for i, n in enumerate(space.choices):
        assert set(choices[..., i].flatten().tolist()) == set(range(n))  # each option, and nothing else


def test_widths_count_the_columns(hybrid: ActionSpace, continuous: ActionSpace) -> None:
    assert (hybrid.continuous, hybrid.width, hybrid.encoded_width, hybrid.joint_choices) == (2, 4, 14, 32)
    assert (continuous.continuous, continuous.width, continuous.encoded_width, continuous.joint_choices) == (2, 2, 2, 1)


def test_encode_keeps_the_numbers_and_makes_each_choice_a_one_hot(hybrid: ActionSpace) -> None:
    encoded = hybrid.encode(torch.tensor([[0.25, 2.5, 3.0, 0.0], [-1.0, 0.0, 0.0, 7.0]]))
    assert encoded.tolist() == [
        [0.25, 2.5, *(0, 0, 0, 1), *(1, 0, 0, 0, 0, 0, 0, 0)],
        [-1.0, 0.0, *(1, 0, 0, 0), *(0, 0, 0, 0, 0, 0, 0, 1)],
    ]
    assert encoded.dtype == torch.float32


def test_a_choice_is_truncated_and_one_out_of_range_is_encoded_as_zeros() -> None:
    encoded = ActionSpace((), (), (3,)).encode(torch.tensor([[1.9999], [3.0], [-1.0]]))
    assert encoded.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_encode_leaves_continuous_actions_alone(continuous: ActionSpace) -> None:
    action = continuous.sample((3, 2))
    assert torch.equal(continuous.encode(action), action)


def test_discrete_actions_have_choices_alone(discrete: ActionSpace) -> None:
    assert (discrete.continuous, discrete.width, discrete.encoded_width, discrete.joint_choices) == (0, 2, 7, 12)
    action = discrete.sample((2, 500), torch.Generator().manual_seed(0))
    assert_legal(discrete, action)
    assert discrete.encode(action).sum(dim=-1).eq(2).all()
    assert torch.equal(discrete.joint_index(action), 3 * action[..., 0].long() + action[..., 1].long())
    spec = discrete.spec((2, 500))
    assert spec.is_in(action)
    assert spec.is_in(spec.rand())
    assert not spec.is_in(action + 0.5)


def test_encode_works_along_any_leading_axes(hybrid: ActionSpace) -> None:
    action = hybrid.sample((2, 3, 5))
    encoded = hybrid.encode(action)
    assert encoded.shape == (2, 3, 5, 14)
    assert torch.equal(encoded[1, 2], hybrid.encode(action[1, 2]))


def test_joint_index_numbers_every_combination_once_with_the_first_choice_slowest(hybrid: ActionSpace) -> None:
    combinations = torch.tensor(list(itertools.product(range(4), range(8))))
    action = torch.cat([torch.zeros(32, 2), combinations.float()], dim=-1)
    assert hybrid.joint_index(action).tolist() == list(range(32))


def test_joint_index_of_a_continuous_action_is_zero(continuous: ActionSpace) -> None:
    index = continuous.joint_index(continuous.sample((3, 2)))
    assert index.tolist() == [[0, 0]] * 3
    assert index.dtype == torch.long


def test_a_sample_is_legal_and_fixed_by_its_generator(hybrid: ActionSpace) -> None:
    action = hybrid.sample((500, 3), torch.Generator().manual_seed(3))
    assert action.shape == (500, 3, 4)
    assert_legal(hybrid, action)
    assert torch.equal(action, hybrid.sample((500, 3), torch.Generator().manual_seed(3)))


def test_samples_fill_the_whole_range(hybrid: ActionSpace) -> None:
    numbers = hybrid.sample((4_000,), torch.Generator().manual_seed(0))[:, :2]
    torch.testing.assert_close(numbers.amin(dim=0), torch.tensor(hybrid.low), rtol=0, atol=0.02)
    torch.testing.assert_close(numbers.amax(dim=0), torch.tensor(hybrid.high), rtol=0, atol=0.02)
    torch.testing.assert_close(numbers.mean(dim=0), torch.tensor([0.0, 1.5]), rtol=0, atol=0.1)


def test_a_draw_from_the_spec_is_legal(hybrid: ActionSpace, continuous: ActionSpace) -> None:
    torch.manual_seed(0)
    for space in (hybrid, continuous):
        spec = space.spec((200, 3))
        action = spec.rand()
        assert action.shape == spec.shape == (200, 3, space.width)
        assert action.dtype == spec.dtype == torch.float32
        assert spec.is_in(action)
        assert_legal(space, action)


@pytest.mark.parametrize(("column", "value"), [(0, 1.5), (1, -0.5), (2, 4.0), (3, -1.0), (3, 8.0)])
def test_the_spec_does_not_hold_actions_out_of_range(hybrid: ActionSpace, column: int, value: float) -> None:
    spec = hybrid.spec((2, 3))
    action = spec.rand()
    action[1, 2, column] = value
    assert not spec.is_in(action)


def test_the_state_gives_the_space_back(hybrid: ActionSpace) -> None:
    assert ActionSpace(**hybrid.state()) == hybrid


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": (), "high": ()}, "must not be empty, got an action without components"),
        ({"low": (0.0,), "high": (1.0, 2.0)}, "must be equally long"),
        ({"low": (1.0,), "high": (1.0,)}, "each low must be below its high"),
        ({"low": (0.0,), "high": (float("nan"),)}, "each low must be below its high"),
        ({"low": (0.0,), "high": (1.0,), "choices": (3, 1)}, "at least 2 options"),
    ],
)
def test_spaces_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ActionSpace(**settings)
