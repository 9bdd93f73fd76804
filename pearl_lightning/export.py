"""Export of policy and encoder to programs that run without this library: ``torch.export`` and ONNX."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._higher_order_ops import scan  # not public yet; the only loop that both formats support
from torch.export import Dim, ExportedProgram
from torch.nn.functional import linear

import pearl_lightning
from pearl_lightning.agents.agent import Agent
from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.inference.belief import FixedBelief
from pearl_lightning.inference.context import ContextReader
from pearl_lightning.inference.encoders import ContextEncoder, RecurrentEncoder
from pearl_lightning.networks.actors import Actor
from pearl_lightning.networks.normalization import ObservationNorm

PROGRAMS = ("policy", "encoder")
"""Names of the programs; an agent that reads no context has no encoder."""
DESCRIPTION = "agent.json"
"""Name of the file with everything else that is needed to play with the programs."""
_REQUIRED = ("onnx", "onnxscript")
_EXAMPLE_BATCH, _EXAMPLE_TRANSITIONS = 2, 3  # sizes of the inputs with which a program is traced
_BATCH, _TRANSITION = Dim("batch", min=1), Dim("transition", min=1)


class PolicyProgram(nn.Module):
    """The program ``policy``: it computes the distribution over actions and its mode.

    Args:
        actor: Actor of the agent.
        norm: Normalization of its observations, if there is one.
    """

    def __init__(self, actor: Actor, norm: ObservationNorm | None = None) -> None:
        super().__init__()
        self.actor, self.norm = actor, norm

    def forward(self, observation: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Compute the distribution over actions.

        Args:
            observation: Observations ``[batch, feature]``.
            condition: Conditions ``[batch, number]``; None if the agent's condition is empty.

        Returns:
            ``action`` ``[batch, width]``, the mode; ``mean`` and ``log_std`` ``[batch, continuous]`` before tanh; and,
            if there are discrete choices, their ``logits`` ``[batch, sum of options]``, one choice after another.
        """
        read = observation if self.norm is None else self.norm(observation)
        policy = self.actor(read, observation[:, :0] if condition is None else condition)
        outputs = {"action": policy.mode(), "mean": policy.mean, "log_std": policy.log_std}
        if policy.log_choices:
            outputs["logits"] = torch.cat(policy.log_choices, dim=-1)
        return outputs


class EncoderProgram(nn.Module):
    """The program ``encoder``: it computes one update of a ``GaussianBelief``. The initial state is all zeros.

    Args:
        encoder: Encoder of the agent.
        reader: Reader of its context.
    """

    initial_state: Tensor

    def __init__(self, encoder: ContextEncoder, reader: ContextReader) -> None:
        super().__init__()
        self.encoder, self.reader = encoder, reader
        self.norm = reader.norm  # its statistics belong to the program
        self.register_buffer("initial_state", encoder.initial_state(1))
        self.starts_at_zeros = not bool(self.initial_state.any())

    def forward(self, context: Tensor, state: Tensor) -> dict[str, Tensor]:
        """Return ``new_state`` ``[batch, ...]``, and ``mean`` and ``std`` ``[batch, latent]`` of its posterior.

        Args:
            context: At least one transition ``[batch, transition, feature]``.
            state: State from the previous call ``[batch, ...]``; zeros in the first call.
        """
        if not self.starts_at_zeros:
            is_new = (state == 0).flatten(1).all(dim=1).view(-1, *[1] * (state.ndim - 1))
            state = torch.where(is_new, self.initial_state, state)
        new_state = self.encoder.update(state, self.reader.normalized(context))
        mean, std = self.encoder.posterior(new_state)
        return {"new_state": new_state, "mean": mean, "std": std}


class ScannedGRU(nn.Module):
    """A one-layer ``nn.GRU`` as a loop of variable length. ``torch.export`` would unroll ``nn.GRU`` itself.

    Args:
        unit: The ``nn.GRU``, which must be ``batch_first``; its parameters are shared.
    """

    def __init__(self, unit: nn.GRU) -> None:
        super().__init__()
        self.input_weight, self.input_bias = unit.get_parameter("weight_ih_l0"), unit.get_parameter("bias_ih_l0")
        self.memory_weight, self.memory_bias = unit.get_parameter("weight_hh_l0"), unit.get_parameter("bias_hh_l0")

    def forward(self, inputs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return all memories ``[batch, step, memory]`` and the last one ``[1, batch, memory]``, like ``nn.GRU``."""

        def step(memory: Tensor, from_input: Tensor) -> tuple[Tensor, Tensor]:
            reset, update, new = from_input.chunk(3, dim=-1)
            old_reset, old_update, old_new = linear(memory, self.memory_weight, self.memory_bias).chunk(3, dim=-1)
            new = torch.tanh(new + torch.sigmoid(reset + old_reset) * old_new)
            memory = new + torch.sigmoid(update + old_update) * (memory - new)
            return memory, memory.clone()  # a scan's outputs may not share memory

        from_inputs = linear(inputs, self.input_weight, self.input_bias).transpose(0, 1)
        last, every = scan(step, memory[0], from_inputs)
        return every.transpose(0, 1), last.unsqueeze(0)


def export_agent(agent: Agent, folder: Path, env_settings: Mapping[str, Any] | None = None) -> list[Path]:
    """Write an agent's policy and encoder as ``.pt2`` and ``.onnx``, and then ``agent.json``.

    An earlier export in the folder is replaced. The agent is not changed.

    Args:
        agent: Agent to export.
        folder: Folder for the files; created if it does not exist.
        env_settings: Settings of the environment that change the observation, for ``agent.json``.

    Returns:
        Paths of the written files.

    Raises:
        RuntimeError: The packages that write ONNX are not installed.
        ValueError: The agent cannot be exported.
    """
    missing = [name for name in _REQUIRED if find_spec(name) is None]
    if missing:
        raise RuntimeError(f"export needs {' and '.join(missing)}: pip install 'pearl-lightning[export]'")
    description = describe(agent, env_settings)
    programs = {"policy": policy_program(agent)}
    if description["latent_dim"]:
        programs["encoder"] = encoder_program(agent)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (DESCRIPTION, *(f"{program}.{kind}" for program in PROGRAMS for kind in ("pt2", "onnx"))):
        (folder / name).unlink(missing_ok=True)
    for name, program in programs.items():
        with _without_chatter():
            torch.export.save(program, folder / f"{name}.pt2")
            onnx_program(program).save(folder / f"{name}.onnx")
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return [*(folder / f"{name}.{kind}" for name in programs for kind in ("pt2", "onnx")), folder / DESCRIPTION]


def describe(agent: Agent, env_settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the content of ``agent.json``: sizes, and the settings of context and belief.

    Args:
        agent: Agent to export.
        env_settings: Settings of the environment that change the observation.

    Raises:
        ValueError: The agent adapts, but is not a PEARL.
    """
    description: dict[str, Any] = {
        "agent": f"{type(agent).__module__}.{type(agent).__qualname__}",
        "observation_features": agent.observation_features,
        "action": agent.action_space.state(),
        "latent_dim": 0,
    }
    encoder = _encoder(agent)
    if encoder is not None:
        assert isinstance(agent, PEARL), "only the encoder of a PEARL is exported"
        description |= {
            "latent_dim": encoder.latent_dim,
            "condition": type(agent.condition).__name__,
            "observe_every": agent.observe_every,
            "resample_every": agent.resample_every,
            "encoder": type(encoder).__name__,
            "context_features": encoder.context_features,
            "context": asdict(agent.context.layout),
            "state": list(encoder.initial_state(1).shape[1:]),
        }
    versions = {"pearl_lightning": pearl_lightning.__version__}
    versions |= {name: version(name) for name in ("torch", *_REQUIRED)}
    return description | dict(env_settings or {}) | {"versions": versions}


def policy_program(agent: Agent) -> ExportedProgram:
    """Export the policy of an agent (see ``PolicyProgram``).

    Raises:
        ValueError: The agent has no actor, or ``torch.export`` cannot read it.
    """
    actor = getattr(agent, "actor", None)
    if not isinstance(actor, Actor):
        raise ValueError(f"agent must have an Actor of pearl_lightning.networks, got {type(agent).__name__}")
    inputs = {"observation": torch.zeros(_EXAMPLE_BATCH, agent.observation_features)}
    if width := agent.prior(1).condition().shape[1]:
        inputs["condition"] = torch.zeros(_EXAMPLE_BATCH, width)
    norm = getattr(agent, "norm", None)
    return _exported(PolicyProgram(copy.deepcopy(actor).cpu(), copy.deepcopy(norm).cpu() if norm else None), inputs)


def encoder_program(agent: Agent) -> ExportedProgram:
    """Export the encoder of an agent (see ``EncoderProgram``).

    Raises:
        ValueError: The agent has no encoder, or ``torch.export`` cannot read it.
    """
    encoder = copy.deepcopy(_encoder(agent))
    if encoder is None:
        raise ValueError(f"agent must be a PEARL with a latent, got {type(agent).__name__}")
    encoder, reader = encoder.cpu(), copy.deepcopy(cast(PEARL, agent).context)
    reader.norm = reader.norm.cpu() if reader.norm is not None else None
    if isinstance(encoder, RecurrentEncoder):
        encoder.unit = ScannedGRU(encoder.unit)  # type: ignore[assignment]
    inputs = {
        "context": torch.zeros(_EXAMPLE_BATCH, _EXAMPLE_TRANSITIONS, encoder.context_features),
        "state": encoder.initial_state(_EXAMPLE_BATCH),
    }
    return _exported(EncoderProgram(encoder, reader), inputs)


def onnx_program(program: ExportedProgram) -> torch.onnx.ONNXProgram:
    """Convert a program to ONNX, with the same names of inputs and outputs."""
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
        raise RuntimeError("torch.onnx.export returned no program")
    return converted


def _encoder(agent: Agent) -> ContextEncoder | None:
    """Return the agent's encoder; None if it has none or z is empty.

    Raises:
        ValueError: The agent adapts, but is not a PEARL.
    """
    if isinstance(agent, PEARL):
        return agent.encoder if agent.encoder.latent_dim > 0 else None
    if not isinstance(agent.prior(1), FixedBelief):
        raise ValueError(f"agent must be a PEARL if it adapts, got {type(agent).__name__}")
    return None


def _exported(module: nn.Module, inputs: dict[str, Tensor]) -> ExportedProgram:
    try:
        with _without_chatter(), torch.no_grad():
            program = torch.export.export(module.eval(), (), inputs, dynamic_shapes=_dynamic_shapes(inputs))
    except Exception as error:  # torch.export raises many types of errors
        part = type(next(module.children())).__name__
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"torch.export must be able to read the agent's {part}, but: {reason}") from error
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # contains paths of this machine
    return program


def _dynamic_shapes(inputs: Mapping[str, Tensor]) -> dict[str, dict[int, Any]]:
    return {name: {0: _BATCH} | ({1: _TRANSITION} if name == "context" else {}) for name in inputs}


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hide the exporters' notices about optional packages and deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
