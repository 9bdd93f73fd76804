"""An agent's adapted policy and its encoder as programs that run without this library: ``torch.export`` and ONNX."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops import scan  # no public name yet; the one loop that both formats know
from torch.export import Dim, ExportedProgram
from torch.nn.functional import linear

import pearl_lightning
from pearl_lightning.agent import Agent
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.encoders import ContextEncoder, RecurrentEncoder
from pearl_lightning.pearl import PEARL

PROGRAMS = ("policy", "encoder")
"""Names of the programs; an agent without context has no encoder."""
DESCRIPTION = "agent.json"
"""What a player needs and cannot read from the programs."""
_REQUIRED = ("onnx", "onnxscript")
_EXAMPLE_BATCH, _EXAMPLE_TRANSITIONS = 2, 3  # of the inputs that a program is traced with
_BATCH, _TRANSITION = Dim("batch", min=1), Dim("transition", min=1)


class PolicyProgram(nn.Module):
    """What ``policy`` computes: the distribution over actions of each row, and its mode.

    Args:
        actor: Of the agent.
    """

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor = actor

    def forward(self, observation: Tensor, z: Tensor | None = None, agent: Tensor | None = None) -> dict[str, Tensor]:
        """``action`` ``[batch, width]``, the mode; ``mean`` and ``log_std`` ``[batch, continuous]`` before tanh;
        ``logits`` ``[batch, sum of options]``, one choice after another, where there are any.

        Args:
            observation: ``[batch, feature]``.
            z: ``[batch, latent]``; none for an agent whose z has no numbers.
            agent: Place in the team ``[batch]``, int64; none for an actor that does not tell agents apart.
        """
        policy = self.actor(observation, observation[:, :0] if z is None else z, agent)
        outputs = {"action": policy.mode(), "mean": policy.mean, "log_std": policy.log_std}
        if policy.log_choices:
            outputs["logits"] = torch.cat(policy.log_choices, dim=-1)
        return outputs


class EncoderProgram(nn.Module):
    """What ``encoder`` computes: one step of a ``Belief``. A state of zeros is one that has read nothing.

    Args:
        encoder: Of the agent.
    """

    initial_state: Tensor

    def __init__(self, encoder: ContextEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("initial_state", encoder.initial_state(1))
        self.starts_at_zeros = not bool(self.initial_state.any())

    def forward(self, context: Tensor, state: Tensor) -> dict[str, Tensor]:
        """``new_state`` ``[batch, ...]``, and ``mean`` and ``std`` ``[batch, latent]`` of its posterior.

        Args:
            context: At least one transition ``[batch, transition, feature]``.
            state: What the last call gave ``[batch, ...]``, at first zeros.
        """
        if not self.starts_at_zeros:
            is_new = (state == 0).flatten(1).all(dim=1).view(-1, *[1] * (state.ndim - 1))
            state = torch.where(is_new, self.initial_state, state)
        new_state = self.encoder.update(state, context)
        mean, std = self.encoder.posterior(new_state)
        return {"new_state": new_state, "mean": mean, "std": std}


class ScannedGRU(nn.Module):
    """A one-layer ``nn.GRU`` as a loop whose length is not fixed; ``torch.export`` would unroll the module's own.

    Args:
        unit: Whose parameters it shares; ``batch_first``.
    """

    def __init__(self, unit: nn.GRU) -> None:
        super().__init__()
        self.input_weight, self.input_bias = unit.get_parameter("weight_ih_l0"), unit.get_parameter("bias_ih_l0")
        self.memory_weight, self.memory_bias = unit.get_parameter("weight_hh_l0"), unit.get_parameter("bias_hh_l0")

    def forward(self, inputs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Memories ``[batch, step, memory]`` and the last ``[1, batch, memory]``, as ``nn.GRU`` gives them."""

        def step(memory: Tensor, from_input: Tensor) -> tuple[Tensor, Tensor]:
            reset, update, new = from_input.chunk(3, dim=-1)
            old_reset, old_update, old_new = linear(memory, self.memory_weight, self.memory_bias).chunk(3, dim=-1)
            new = torch.tanh(new + torch.sigmoid(reset + old_reset) * old_new)
            memory = new + torch.sigmoid(update + old_update) * (memory - new)
            return memory, memory.clone()  # a scan's outputs may not share memory

        from_inputs = linear(inputs, self.input_weight, self.input_bias).transpose(0, 1)
        last, every = scan(step, memory[0], from_inputs)
        return every.transpose(0, 1), last.unsqueeze(0)


def export_agent(agent: Agent, folder: Path, world: Mapping[str, Any] | None = None) -> list[Path]:
    """Write an agent's policy and encoder as ``.pt2`` and ``.onnx``, and ``agent.json``, the last.

    An earlier export in the folder is replaced.

    Args:
        agent: Learns nothing any more; it is left as it is.
        folder: Is made where there is none.
        world: What the agent's world shows it, ``agent.json`` tells it along.

    Returns:
        The files that were written.

    Raises:
        RuntimeError: The packages that write ONNX are missing.
        ValueError: The agent is of a kind that cannot be exported.
    """
    missing = [name for name in _REQUIRED if find_spec(name) is None]
    if missing:
        raise RuntimeError(f"export needs {' and '.join(missing)}: pip install 'pearl-lightning[export]'")
    description = describe(agent, world)
    programs = {"policy": policy_program(agent)}
    if description["latent_dim"] > 0:
        programs["encoder"] = encoder_program(agent)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (DESCRIPTION, *(f"{program}.{kind}" for program in PROGRAMS for kind in ("pt2", "onnx"))):
        (folder / name).unlink(missing_ok=True)
    for name, program in programs.items():
        with _without_chatter():
            torch.export.save(program, folder / f"{name}.pt2")
            onnx_program(program).save(folder / f"{name}.onnx")
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2, allow_nan=False) + "\n")
    return [*(folder / f"{name}.{kind}" for name in programs for kind in ("pt2", "onnx")), folder / DESCRIPTION]


def describe(agent: Agent, world: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What ``agent.json`` holds: the sizes, how episodes become context, how long a z is kept.

    Args:
        agent: To be exported.
        world: What the agent's world shows it.

    Raises:
        ValueError: It reads context in a way of its own.
    """
    encoder = _encoder(agent)
    description: dict[str, Any] = {
        "agent": f"{type(agent).__module__}.{type(agent).__qualname__}",
        "observation_features": agent.observation_features,
        "latent_dim": encoder.latent_dim,
        "action": agent.action_space.state(),
        "z_steps": agent.z_steps,
    }
    if encoder.latent_dim > 0:
        if not isinstance(agent, PEARL):
            raise ValueError(f"agent must be a PEARL where it reads context, got {type(agent).__name__}")
        description |= {
            "encoder": type(encoder).__name__,
            "context_features": encoder.context_features,
            "context_stride": agent.context_stride,
            "context_salient": agent.context_salient,
            "context_next_observation": agent.context_next_observation,
            "context_reward_scale": agent.context_reward_scale,
            "state": list(encoder.initial_state(1).shape[1:]),
        }
    packages = {name: version(name) for name in ("torch", *_REQUIRED)}
    return description | dict(world or {}) | {"versions": {"pearl_lightning": pearl_lightning.__version__} | packages}


def policy_program(agent: Agent) -> ExportedProgram:
    """The deterministic action and the distribution, given an observation and z; see ``PolicyProgram``.

    Raises:
        ValueError: The agent has no actor, or one that ``torch.export`` cannot read.
    """
    actor = getattr(agent, "actor", None)
    if not isinstance(actor, Actor):
        raise ValueError(f"agent must act by an Actor of pearl_lightning.networks, got {type(agent).__name__}")
    inputs = {"observation": torch.zeros(_EXAMPLE_BATCH, agent.observation_features)}
    if latent_dim := _encoder(agent).latent_dim:
        inputs["z"] = torch.zeros(_EXAMPLE_BATCH, latent_dim)
    module = PolicyProgram(copy.deepcopy(actor).cpu())
    program = _exported(module, inputs | {"agent": torch.zeros(_EXAMPLE_BATCH, dtype=torch.int64)})
    told = next(node for node in program.graph.nodes if node.op == "placeholder" and node.target == "agent")
    return program if told.users else _exported(module, inputs)


def encoder_program(agent: Agent) -> ExportedProgram:
    """The new state and its posterior, given context and the state before; see ``EncoderProgram``.

    Raises:
        ValueError: ``torch.export`` cannot read the encoder.
    """
    encoder = copy.deepcopy(_encoder(agent)).cpu()
    if isinstance(encoder, RecurrentEncoder):
        encoder.unit = ScannedGRU(encoder.unit)  # type: ignore[assignment]
    inputs = {
        "context": torch.zeros(_EXAMPLE_BATCH, _EXAMPLE_TRANSITIONS, encoder.context_features),
        "state": encoder.initial_state(_EXAMPLE_BATCH),
    }
    return _exported(EncoderProgram(encoder), inputs)


def onnx_program(program: ExportedProgram) -> torch.onnx.ONNXProgram:
    """The same in ONNX, under the same names of inputs and outputs."""
    inputs = program.example_inputs[1]
    with _without_chatter():
        converted = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            input_names=list(inputs),
            output_names=list(program.module()(**inputs)),
            dynamic_shapes=_dynamic_shapes(inputs),  # names the axes
        )
    if converted is None:
        raise RuntimeError("torch.onnx.export gave no program")
    return converted


def _encoder(agent: Agent) -> ContextEncoder:
    return agent.prior(1).encoder


def _exported(module: nn.Module, inputs: dict[str, Tensor]) -> ExportedProgram:
    try:
        with _without_chatter(), torch.no_grad():
            program = torch.export.export(module.eval(), (), inputs, dynamic_shapes=_dynamic_shapes(inputs))
    except Exception as error:  # torch raises whatever its parts raise
        part = type(next(module.children())).__name__
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"torch.export must be able to read the agent's {part}, but: {reason}") from error
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # names the folders of this machine
    return program


def _dynamic_shapes(inputs: Mapping[str, Tensor]) -> dict[str, dict[int, Any]]:
    return {name: {0: _BATCH} | ({1: _TRANSITION} if name == "context" else {}) for name in inputs}


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep the exporters' notices off the screen: of packages that are not needed, of their own old parts."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
