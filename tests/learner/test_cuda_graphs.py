"""Updates recorded as CUDA graphs equal ordinary ones: with an imitation of graphs on the CPU, and on a GPU if any."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Literal

import pytest
import tape
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import LambdaCallback
from small_pearl import LATENT, PRESETS, SPACES, meta_batch, small_pearl
from tensordict import TensorDict
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader

from pearl_lightning.agents import cuda_graphs
from pearl_lightning.agents.cuda_graphs import MAX_RECORDINGS, WAITS, WARM_UP, GraphedUpdate, set_capturable
from pearl_lightning.agents.finite_losses import FiniteLosses
from pearl_lightning.agents.objectives import total_loss
from pearl_lightning.agents.off_policy import OffPolicyAgent
from pearl_lightning.agents.optimizers import Optimizers
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.inference import encoders
from pearl_lightning.inference.auxiliary import Reconstruction, TaskInference
from pearl_lightning.inference.encoders import GaussianProductEncoder

UPDATES = 2 * (WARM_UP + 3)
ENCODERS = [name for name in encoders.__all__ if name != "ContextEncoder"]
KINDS = [
    *((name, "modern", "hybrid") for name in ENCODERS),
    *(
        ("MeanEncoder", preset, space)
        for preset in PRESETS
        for space in SPACES
        if (preset, space) != ("modern", "hybrid")
    ),
]
"""Every encoder, and both presets over every kind of action."""


@pytest.fixture
def imitated(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Graphs on the CPU; the list contains those that were recorded."""
    recorded: list[Callable[[], None]] = []

    def record(run: Callable[[], None], generator: torch.Generator, pool: Any) -> tuple[Callable[[], None], Any]:
        recorded.append(tape.record(run, generator))
        return recorded[-1], pool

    monkeypatch.setattr(OffPolicyAgent, "is_on_gpu", True)
    monkeypatch.setattr(cuda_graphs, "record_graph", record)
    monkeypatch.setattr(cuda_graphs, "on_side_stream", lambda update: update())
    monkeypatch.setattr(cuda_graphs, "watched", lambda update: (update(), []))
    return recorded


def batches(space: str, updates: int = UPDATES) -> list[TensorDict]:
    """Meta-batches with contexts of one length and of another in turns."""
    made = [meta_batch(SPACES[space], seed, steps=4 + 2 * (seed % 2)) for seed in range(updates)]
    return [batch.set("descriptor", batch["transitions", "reward"][:, :2, 0]) for batch in made]


def fit(
    pearl: PEARL,
    given: Sequence[TensorDict],
    *callbacks: Callback,
    accelerator: str = "cpu",
    precision: Literal["32-true", "bf16-mixed"] = "32-true",
) -> Trainer:
    trainer = Trainer(
        precision=precision,
        max_steps=len(given),
        accelerator=accelerator,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )
    trainer.fit(pearl, DataLoader(given, collate_fn=itemgetter(0)))
    return trainer


def adam(**settings: Any) -> Optimizers:
    return Optimizers(default=partial(torch.optim.Adam, lr=1e-2, **settings), gradient_clip_norm=1.0)


def learner(name: str, preset: str, space: str, **settings: Any) -> PEARL:
    encoder = getattr(encoders, name)
    is_empty = name == "ContextFreeEncoder"
    return small_pearl(
        SPACES[space],
        PRESETS[preset],
        **({"optimizers": adam(fused=True), "normalize_observations": True} | settings),
        encoder=encoder if is_empty else partial(encoder, latent_dim=LATENT),
        auxiliary=[] if is_empty else [Reconstruction, TaskInference],
        descriptor_features=2,
    )


def pair(*arguments: str, **settings: Any) -> tuple[PEARL, PEARL]:
    first = learner(*arguments, **settings)
    second = copy.deepcopy(first)
    for pearl in (first, second):
        pearl.noise.manual_seed(5)
    return first, second


def require_equal(first: PEARL, second: PEARL) -> None:
    assert torch.equal(first.noise.get_state(), second.noise.get_state())
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize(("name", "preset", "space"), KINDS)
def test_recorded_updates_give_the_same_bits(
    name: str, preset: str, space: str, imitated: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each length of the context, one graph is recorded once and repeated."""
    recorded, ordinary = pair(name, preset, space)
    assert fit(recorded, batches(space)).global_step == UPDATES
    assert len(imitated) == 2
    monkeypatch.setattr(OffPolicyAgent, "is_on_gpu", False)
    fit(ordinary, batches(space))
    require_equal(recorded, ordinary)


class Schedule(Callback):
    """Lowers the learning rate after ``UPDATES`` updates."""

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        for optimizer in trainer.optimizers:
            optimizer.param_groups[0]["lr"] = 1e-2 if trainer.global_step < UPDATES else 1e-3


def test_a_second_fit_records_its_updates_anew(imitated: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, ordinary = pair("MeanEncoder", "modern", "hybrid")
    for _ in range(2):
        fit(recorded, batches("hybrid"))
    assert len(imitated) == 4
    monkeypatch.setattr(OffPolicyAgent, "is_on_gpu", False)
    for _ in range(2):
        fit(ordinary, batches("hybrid"))
    require_equal(recorded, ordinary)


def test_recorded_updates_in_mixed_precision_give_the_same_bits(
    imitated: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, ordinary = pair("AttentionEncoder", "modern", "hybrid")
    fit(recorded, batches("hybrid"), precision="bf16-mixed")
    assert len(imitated) == 2
    monkeypatch.setattr(OffPolicyAgent, "is_on_gpu", False)
    fit(ordinary, batches("hybrid"), precision="bf16-mixed")
    require_equal(recorded, ordinary)


def test_a_changed_learning_rate_is_recorded_anew(imitated: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, ordinary = pair("MeanEncoder", "modern", "hybrid")
    fit(recorded, batches("hybrid", 2 * UPDATES), Schedule())
    assert len(imitated) == 4
    monkeypatch.setattr(OffPolicyAgent, "is_on_gpu", False)
    fit(ordinary, batches("hybrid", 2 * UPDATES), Schedule())
    require_equal(recorded, ordinary)


def test_what_waits_for_the_gpu_is_named_and_updates_go_on_without_graphs(
    imitated: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graphs, "watched", lambda update: (update(), ["encoder.py:7"]))
    recorded, ordinary = pair("MeanEncoder", "modern", "hybrid")
    with pytest.warns(UserWarning, match=r"an update waits for the GPU: encoder.py:7; updates run without CUDA graphs"):
        fit(recorded, batches("hybrid"))
    assert not imitated
    monkeypatch.setattr(OffPolicyAgent, "is_on_gpu", False)
    fit(ordinary, batches("hybrid"))
    require_equal(recorded, ordinary)


def test_only_warnings_of_waiting_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[Any] = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def update() -> dict[str, Tensor]:
        warnings.warn(WAITS, stacklevel=1)
        warnings.warn("something else", stacklevel=1)
        return {}

    with pytest.warns(UserWarning, match="something else") as others:
        _, waits = cuda_graphs.watched(update)
    assert [str(each.message) for each in others] == ["something else"]
    assert len(waits) == 1
    assert waits[0].startswith(__file__)
    assert modes == ["warn", 0]


def test_too_many_recordings_end_them(imitated: list[Any]) -> None:
    def update(batch: Any) -> dict[str, Tensor]:
        return {"sum": batch["x"].sum()}

    run = GraphedUpdate(update, [], torch.Generator())
    for size in range(1, MAX_RECORDINGS + 1):
        for _ in range(WARM_UP + 2):
            assert run(TensorDict({"x": torch.ones(size)}))["sum"] == size
    assert len(imitated) == MAX_RECORDINGS
    one_more = TensorDict({"x": torch.ones(MAX_RECORDINGS + 1)})
    for _ in range(WARM_UP):
        run(one_more)
    with pytest.warns(UserWarning, match=f"updates were recorded {MAX_RECORDINGS} times"):
        assert run(one_more)["sum"] == MAX_RECORDINGS + 1
    assert run.is_eager


def test_an_update_that_cannot_be_recorded_is_made_in_the_ordinary_way(
    imitated: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise RuntimeError("operation not permitted")

    monkeypatch.setattr(cuda_graphs, "record_graph", refuse)
    run = GraphedUpdate(lambda batch: {"sum": batch["x"].sum()}, [], torch.Generator())
    batch = TensorDict({"x": torch.ones(3)})
    for _ in range(WARM_UP):
        run(batch)
    with pytest.warns(UserWarning, match="an update cannot be recorded: operation not permitted; updates run without"):
        assert run(batch)["sum"] == 3
    assert run.is_eager


def test_a_learning_rate_that_changes_at_every_update_ends_the_recording(imitated: list[Any]) -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(1))], lr=1.0)
    run = GraphedUpdate(lambda batch: {"sum": batch["x"].sum()}, [optimizer], torch.Generator())
    batch = TensorDict({"x": torch.ones(3)})

    def update(number: int) -> None:
        optimizer.param_groups[0]["lr"] = 1.0 / (1 + number)
        assert run(batch)["sum"] == 3

    for number in range(WARM_UP + MAX_RECORDINGS):
        update(number)
    with pytest.warns(UserWarning, match=f"updates were recorded {MAX_RECORDINGS} times"):
        update(WARM_UP + MAX_RECORDINGS)
    assert (len(imitated), run.is_eager) == (MAX_RECORDINGS, True)


class _Waits(TorchFunctionMode):
    """Collects copies of numbers between Python and tensors: they wait for a GPU, and ``meta`` does not show them."""

    NAMES = ("new_tensor", "tensor", "as_tensor", "item", "tolist", "__bool__", "__float__", "__int__", "nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        if getattr(function, "__name__", "") in self.NAMES:
            self.found.append(function.__name__)
        return function(*arguments, **(named or {}))


@pytest.mark.parametrize(("name", "preset", "space"), KINDS)
def test_an_update_moves_no_number_between_python_and_tensors(name: str, preset: str, space: str) -> None:
    pearl, batch = learner(name, preset, space), batches(space, 1)[0]
    finite, waits = FiniteLosses(is_deferred=True), _Waits()
    for _ in range(2):
        waits.found.clear()  # constants are made in the first update
        with waits:
            pearl.update_statistics(batch)
            terms = pearl.losses(batch)
            finite.note(total_loss(terms), terms, 0)
            pearl.update_targets()
    assert waits.found == []


def test_an_optimizer_that_cannot_be_recorded_is_named(imitated: list[Any]) -> None:
    pearl = small_pearl(SPACES["hybrid"], optimizers=Optimizers(default=partial(torch.optim.SGD, lr=0.1)))
    with pytest.warns(UserWarning, match="updates run without CUDA graphs.*SGD has no option capturable"):
        fit(pearl, batches("hybrid"))
    assert not imitated


def test_cuda_graphs_false_records_nothing(imitated: list[Any]) -> None:
    fit(learner("MeanEncoder", "modern", "hybrid", cuda_graphs=False), batches("hybrid"))
    assert not imitated


# --- losses that are not finite ----------------------------------------------------------------


@pytest.mark.parametrize("broken", [0, WARM_UP, UPDATES - 2])
def test_the_first_loss_that_is_not_finite_is_named_by_the_next_reader(broken: int, imitated: list[Any]) -> None:
    """In an ordinary update or a recorded one. ``prior`` reads before play, and every checkpoint does."""
    given = batches("continuous")
    given[broken]["transitions", "reward"][0, 7] = torch.inf  # the descriptors are the first ones
    pearl = learner("GaussianProductEncoder", "modern", "continuous")
    with pytest.raises(FloatingPointError, match=f"the losses of update {broken} are not finite.*loss/critic=inf"):
        fit(pearl, given)  # the last update logs
    for read in (lambda: pearl.prior(1), lambda: pearl.on_save_checkpoint({})):
        with pytest.raises(FloatingPointError, match=f"update {broken} are"):
            read()


def test_finite_losses_are_no_error() -> None:
    finite = FiniteLosses(is_deferred=True)
    finite.require()
    for update in range(3):
        finite.note(torch.tensor(1.0), {"loss/a": torch.tensor(1.0)}, update)
    finite.require()


# --- optimizers --------------------------------------------------------------------------------


@pytest.mark.parametrize("fused", [True, False])
def test_capturable_is_set_for_graphs_and_never_left_by_a_checkpoint(fused: bool) -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([parameter], fused=fused)
    parameter.grad = torch.ones(2)
    optimizer.step()
    set_capturable([optimizer], True)
    assert optimizer.param_groups[0]["capturable"]
    assert optimizer.state[parameter]["step"].device == parameter.device
    resumed = torch.optim.Adam([parameter], fused=fused)
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.param_groups[0]["capturable"]  # as it was on the GPU
    set_capturable([resumed], False)
    resumed.step()  # torch refuses it on the CPU while it is capturable, unless it is fused
    assert not resumed.param_groups[0]["capturable"]


# --- what a graph cannot contain ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "preset", "space"), KINDS)
def test_an_update_reads_and_writes_its_device_alone(
    name: str, preset: str, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the device ``meta``, which has no numbers: nothing can be read from it, and copies to it are noticed."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)  # torch knows none for this device
    pearl = learner(name, preset, space).to("meta")
    pearl.normal = lambda shape: torch.randn(shape, device="meta")  # type: ignore[method-assign]
    batch = batches(space, 1)[0].to("meta")
    finite = FiniteLosses(is_deferred=True)

    def update() -> None:
        pearl.update_statistics(batch)
        terms = pearl.losses(batch)
        total = torch.stack(list(terms.values())).sum()
        finite.note(total, terms, 0)
        total.backward()
        pearl.update_targets()

    update()  # constants are copied once
    with tape.Tape() as recorded:
        update()
    for operation, arguments, named, result in recorded.operations:
        devices = {each.device.type for each in tape.tensors((arguments, named, result))}
        assert devices <= {"meta"}, operation


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "preset", "space"), KINDS)
def test_on_a_gpu_recorded_updates_equal_ordinary_ones(name: str, preset: str, space: str) -> None:
    recorded, ordinary = (learner(name, preset, space, cuda_graphs=graphs) for graphs in (True, False))
    ordinary.load_state_dict(recorded.state_dict())
    for pearl in (recorded, ordinary):
        pearl.to("cuda").noise.manual_seed(5)
        graphed: list[bool] = []
        note = LambdaCallback(on_train_batch_end=lambda _, agent, *rest, seen=graphed: seen.append(agent.is_graphed))
        fit(pearl, batches(space), note, accelerator="gpu")
        assert all(graphed) == (pearl is recorded)
    for ours, theirs in zip(recorded.state_dict().values(), ordinary.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("case", ["bf16", "a changed learning rate", "a second fit"])
def test_on_a_gpu_recorded_updates_equal_ordinary_ones_also_with(case: str) -> None:
    recorded, ordinary = (learner("MeanEncoder", "modern", "hybrid", cuda_graphs=graphs) for graphs in (True, False))
    ordinary.load_state_dict(recorded.state_dict())
    for pearl in (recorded, ordinary):
        pearl.to("cuda").noise.manual_seed(5)
        given = batches("hybrid", 2 * UPDATES)
        if case == "bf16":
            fit(pearl, given, accelerator="gpu", precision="bf16-mixed")
        elif case == "a changed learning rate":
            fit(pearl, given, Schedule(), accelerator="gpu")
        else:
            for part in (given[:UPDATES], given[UPDATES:]):
                fit(pearl, part, accelerator="gpu")
                pearl.to("cuda")
    for ours, theirs in zip(recorded.state_dict().values(), ordinary.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3 if case == "bf16" else 1e-4, atol=1e-4)


@pytest.mark.gpu
def test_on_a_gpu_an_encoder_that_waits_is_named() -> None:
    class Waiting(GaussianProductEncoder):
        def forward(self, context: Tensor, played: Tensor | None = None) -> tuple[Tensor, Tensor]:
            assert float(context.sum()) < 1e9
            return super().forward(context, played)

    pearl = small_pearl(SPACES["hybrid"], encoder=partial(Waiting, latent_dim=LATENT), optimizers=adam(fused=True))
    with pytest.warns(UserWarning, match="an update waits for the GPU: .*test_cuda_graphs.py"):
        fit(pearl, batches("hybrid"), accelerator="gpu")
