"""Speed of a PEARL update relative to a matrix product, with the shapes of Derk's Gym: ``python -m benchmarks.update``.

The update is ``PEARL.training_step`` without Lightning: losses, one backward pass, all optimizers and the target
network. ``torch.utils.flop_counter`` counts the floating-point operations of its matrix products, forward and backward.
Their rate is compared with that of a large square product, which is timed in turns with the update.

On a GPU, each precision is timed with ordinary updates and with CUDA graphs.

``--config NAME`` measures a shipped config instead, such as ``derk`` or ``quickstart``, as ``pearl fit`` trains it: the
time from one update to the next, with sampling, Lightning and logging.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.figures_file import write_figures
from benchmarks.stopwatch import GEMM_SIZE, busy_programs, measure_config, square_product
from pearl_lightning.agents.cuda_graphs import WARM_UP, GraphedUpdate, set_capturable
from pearl_lightning.agents.objectives import total_loss
from pearl_lightning.agents.optimizers import Optimizers
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.agents.sac import HybridSAC
from pearl_lightning.derk.interface import ACTION_SPACE, AGENTS, EPISODE_STEPS, OBSERVATION_FEATURES
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.context import ContextLayout
from pearl_lightning.inference.encoders import GaussianProductEncoder
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.critics import CriticEnsemble

TASKS, TRANSITIONS, HIDDEN = 16, 256, (300, 300, 300)
CONTEXT_STRIDE = 5
"""Stride as in configs/derk_game.yaml: an episode gives 30 steps x 3 agents = 90 factors."""
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
GPU_PRECISIONS = {
    "fp32": ("highest", torch.float32),
    "tf32": ("high", torch.float32),
    "bf16": ("highest", torch.bfloat16),
}
"""Name of each precision on a GPU, with torch's precision of float32 products and the type under autocast."""


def make_learner() -> PEARL:
    """Create a PEARL with the observation and action space of Derk's Gym and three hidden layers of width 300."""
    torch.manual_seed(0)
    return PEARL(
        OBSERVATION_FEATURES,
        ACTION_SPACE,
        encoder=partial(GaussianProductEncoder, latent_dim=8, hidden=HIDDEN),
        belief=BeliefConfig(context=ContextLayout(stride=CONTEXT_STRIDE)),
        sac=partial(HybridSAC, actor=partial(Actor, hidden=HIDDEN), critic=partial(CriticEnsemble, hidden=HIDDEN)),
        optimizers=Optimizers(default=partial(Adam, lr=3e-4, fused=True)),
    )


def make_batch(context_episodes: int = 2) -> TensorDict:
    """Create a meta-batch of random numbers with the shapes of Derk's Gym."""
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    flat, episodes = (TASKS, TRANSITIONS), (TASKS, context_episodes, EPISODE_STEPS, AGENTS)
    transitions = {
        "observation": numbers(*flat, OBSERVATION_FEATURES),
        "action": ACTION_SPACE.sample(flat, generator),
        "reward": numbers(*flat, 1),
        "steps": torch.ones(flat, dtype=torch.int64),
        "next_observation": numbers(*flat, OBSERVATION_FEATURES),
        "terminated": torch.zeros(flat, dtype=torch.bool),
    }
    context = {
        "observation": numbers(*episodes, OBSERVATION_FEATURES),
        "next_observation": numbers(*episodes, OBSERVATION_FEATURES),
        "action": ACTION_SPACE.sample(episodes, generator),
        "reward": numbers(*episodes),
    }
    return TensorDict(
        {
            "transitions": TensorDict(transitions, batch_size=flat),
            "context": TensorDict(context, batch_size=episodes[:3]),
        },
        batch_size=[TASKS],
    )


def one_update(learner: PEARL, optimizers: Sequence[Optimizer], batch: TensorDict, dtype: torch.dtype) -> None:
    """Do the same as ``PEARL.training_step`` without a trainer, in float32 or Lightning's ``bf16-mixed``."""
    with torch.autocast(next(learner.parameters()).device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        total = total_loss(learner.losses(batch))
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=not learner.is_on_gpu)
    total.backward()
    for optimizer in optimizers:
        optimizer.step()
    learner.sac.update_target()


def gpu_update(batch: TensorDict, precision: str, is_graphed: bool) -> Callable[[], Any]:
    """Return a function that makes an update on the GPU, as a CUDA graph or with one launch per operation."""
    products, dtype = GPU_PRECISIONS[precision]
    learner = make_learner().to(batch.device)
    optimizers = learner.configure_optimizers()
    set_capturable(optimizers, True)

    def update(batch: TensorDictBase) -> dict[str, Tensor]:
        one_update(learner, optimizers, cast(TensorDict, batch), dtype)
        return {}

    run = GraphedUpdate(update, optimizers, learner.noise) if is_graphed else update

    def call() -> None:
        torch.set_float32_matmul_precision(products)
        run(batch)
        if isinstance(run, GraphedUpdate) and run.is_eager:
            raise RuntimeError("the update is not recorded as a CUDA graph: a warning above names the reason")

    return call


def measure_gpu(rounds: int) -> dict[str, Any]:
    """Measure updates in every precision, with and without CUDA graphs."""
    batch = make_batch().to("cuda")
    kinds = [(precision, is_graphed) for precision in GPU_PRECISIONS for is_graphed in (False, True)]
    entries = {
        f"{precision}, {'CUDA graphs' if is_graphed else 'one launch per operation'}": gpu_update(
            batch, precision, is_graphed
        )
        for precision, is_graphed in kinds
    }
    for call in entries.values():  # records the graphs
        for _ in range(WARM_UP + 1):
            call()
    seconds = median_seconds(entries, rounds, "cuda")
    return {"device": "cuda", "updates_per_second": {name: 1 / each for name, each in seconds.items()}}


def median_seconds(entries: dict[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, float]:
    """Time all entries in turns, so that all have the same load of the machine; return the median seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in entries}
    for number in range(rounds + 2):
        for name, call in entries.items():
            start = time.perf_counter()
            call()
            if device == "cuda":
                torch.cuda.synchronize()
            if number >= 2:  # the first two rounds warm up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure(rounds: int) -> dict[str, Any]:
    """Measure operations, times and rates on the CPU; bf16 only if its products are not slower than those of fp32."""
    batch, device = make_batch(), "cpu"
    probe = {name: square_product(dtype, device, 256) for name, dtype in PRECISIONS.items()}
    probed = median_seconds(probe, 5, device)
    figures: dict[str, Any] = {"threads": torch.get_num_threads(), "device": device}
    figures["bf16_product_speedup"] = probed["fp32"] / probed["bf16"]
    names = ["fp32"] + ["bf16"] * (figures["bf16_product_speedup"] > 1)
    entries: dict[str, Callable[[], Any]] = {}
    for name in names:
        learner = make_learner()
        entries[name] = partial(one_update, learner, learner.configure_optimizers(), batch, PRECISIONS[name])
        entries[f"gemm {name}"] = square_product(PRECISIONS[name], device, GEMM_SIZE)
    with FlopCounterMode(display=False) as counter:
        entries["fp32"]()
    seconds = median_seconds(entries, rounds, device)
    flop = counter.get_total_flops()
    rates = {name: 2 * GEMM_SIZE**3 / seconds[f"gemm {name}"] for name in names}
    figures |= {
        "gflop": flop / 1e9,
        "milliseconds": {name: 1e3 * seconds[name] for name in names},
        "gemm_gflop_per_second": {name: rate / 1e9 for name, rate in rates.items()},
        "share_of_gemm_rate": {name: flop / seconds[name] / rates[name] for name in names},
    }
    if "bf16" in names:
        figures["bf16_speedup"] = seconds["fp32"] / seconds["bf16"]
    return figures


def print_profile() -> None:
    """Print the time of each operation in an fp32 update."""
    learner = make_learner()
    update = partial(one_update, learner, learner.configure_optimizers(), make_batch(), torch.float32)
    for _ in range(3):
        update()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(10):
            update()
    print(recorded.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=40))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="timed updates of each kind")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="number of threads of torch; 0 for its default")
    parser.add_argument("--config", nargs="+", help="shipped configs to train instead, such as derk")
    parser.add_argument("--updates", type=int, default=100, help="updates of each config")
    parser.add_argument("--busy", type=int, default=0, help="other programs that keep a core busy, with --config")
    parser.add_argument("--profile", action="store_true", help="also print the time of each operation")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.config is not None:
        with busy_programs(options.busy):
            found = [
                measure_config(each, options.updates, torch.get_num_threads(), options.device)
                for each in options.config
            ]
        for each in found:
            print(
                f"{each['config']}: {each['gflop']:.2f} GFLOP and {each['milliseconds']:.1f} ms per update, "
                f"{each['share_of_gemm_rate']:.1%} of the GEMM rate ({each['gemm_gflop_per_second']:.1f} GFLOP/s, "
                f"{each['threads']} threads, {options.busy} busy programs)"
            )
        if options.json is not None:
            write_figures(options.json, {"busy": options.busy, "updates": found})
        return
    if options.device == "cuda":
        figures = measure_gpu(options.rounds)
        for name, rate in figures["updates_per_second"].items():
            print(f"{name}: {rate:8.1f} updates per second")
        if options.json is not None:
            write_figures(options.json, figures)
        return
    figures = measure(options.rounds)
    print(f"{figures['gflop']:.2f} GFLOP per update on {options.device}, {figures['threads']} threads")
    for name in figures["milliseconds"]:
        print(
            f"{name}: {figures['milliseconds'][name]:8.1f} ms, {figures['share_of_gemm_rate'][name]:.1%} of the "
            f"GEMM rate ({figures['gemm_gflop_per_second'][name]:.1f} GFLOP/s)"
        )
    if "bf16_speedup" in figures:
        print(f"bf16 is {figures['bf16_speedup']:.2f} x as fast")
    else:
        print(f"bf16 was not timed: its products have {figures['bf16_product_speedup']:.2f} x the speed of fp32 here")
    if options.profile:
        print_profile()
    if options.json is not None:
        write_figures(options.json, figures)


if __name__ == "__main__":
    main()
