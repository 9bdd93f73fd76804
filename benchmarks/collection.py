"""Agent steps per CPU second of collection, and where they go: ``python -m benchmarks.collection --against COMMIT``.

An agent plays whole episodes in every arena, as the collector plays them. The CPU time, of all threads, is split into

* policy: ``Player.act``, that is, the agent's actions and the samples of z,
* simulator: the step of the simulator (Derk's Gym) or of the physics (cheetah); the point robot has none,
* environment: the rest of a step, such as the opponents of Derk's Gym,
* recording: the rest, that is, the rows of the episode and the update of the belief.

An evaluation plays the same arenas, and its CPU time per agent step is compared with that of collection.

With ``--against``, another commit of the repository plays in a second process, in turns with this one, so that both
have the same load of the machine. A ratio is the median of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

CASES = ("derk", "cheetah", "point_robot")
ARENAS = (64, 512, 2048)
PARTS = ("policy", "simulator", "environment", "recording")
ROOT = Path(__file__).parent.parent
Play = Callable[[], dict[str, float]]
"""Function that plays and returns agent steps, CPU seconds and, for an episode, CPU seconds by part."""


def serve() -> None:
    """Answer every line of standard input, a JSON list of case, arenas and what to play, with a line of JSON."""
    playing: dict[tuple[str, int], dict[str, Play]] = {}
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        case, arenas, what = json.loads(line)
        if (case, arenas) not in playing:
            playing.clear()  # one environment at a time
            playing[case, arenas] = make_plays(case, arenas)
        print(json.dumps(playing[case, arenas][what]()), file=answers, flush=True)


class Playing:
    """A process that plays episodes with the package of a checkout.

    Args:
        checkout: Folder of the checkout.
    """

    def __init__(self, checkout: Path) -> None:
        command = [sys.executable, "-P", str(Path(__file__).resolve()), "--serve"]
        environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=checkout, env=environment, text=True, encoding="utf-8", **pipes)

    def play(self, case: str, arenas: int, what: str) -> dict[str, float]:
        """Play an ``episode`` in every arena, or an ``evaluation``; return agent steps and CPU seconds by part."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([case, arenas, what]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that plays {case} has ended with status {self.process.wait()}")
        played: dict[str, float] = json.loads(answer)
        return played

    def close(self) -> None:
        self.process.communicate()


@contextmanager
def files_of(commit: str) -> Iterator[Path]:
    """A temporary folder with the files of a commit of this repository."""
    with tempfile.TemporaryDirectory() as folder:
        archive, files = Path(folder) / "files.tar", Path(folder) / "files"
        subprocess.run(["git", "archive", "--output", archive, commit], cwd=ROOT, check=True)
        shutil.unpack_archive(archive, files, filter="data")
        yield files


def measure(sides: Sequence[Playing], case: str, arenas: int, rounds: int) -> dict[str, Any]:
    """Play with every side in turns; return rates, shares of the parts, and the ratio of the first side to the second.

    Args:
        sides: The processes: this checkout, and perhaps another one.
        case: One of ``CASES``.
        arenas: Number of arenas.
        rounds: Number of episodes of each side, after one that is not counted.
    """
    played, evaluations = [], []
    for _ in range(rounds + 1):
        played.append([side.play(case, arenas, "episode") for side in sides])
        evaluations.append(sides[0].play(case, arenas, "evaluation"))
    del played[0], evaluations[0]
    rates = [[each["steps"] / each["seconds"] for each in pair] for pair in played]
    figures: dict[str, Any] = {"agent_steps_per_cpu_second": [statistics.median(r) for r in zip(*rates, strict=True)]}
    figures["microseconds_per_agent_step"] = [
        {part: 1e6 * statistics.median(e[part] / e["steps"] for e in side) for part in PARTS}
        for side in zip(*played, strict=True)
    ]
    costs = [(each["seconds"] / each["steps"]) * own[0] for each, own in zip(evaluations, rates, strict=True)]
    figures["evaluation_cost"] = statistics.median(costs)  # relative to an agent step of collection
    if len(sides) == 2:
        figures["ratio"] = statistics.median(own / other for own, other in rates)
    return figures


def make_plays(case: str, arenas: int) -> dict[str, Play]:
    """Return functions that play an ``episode`` in every arena and an ``evaluation`` of two episodes."""
    import torch

    from pearl_lightning.evaluation import evaluate_adaptation
    from pearl_lightning.experience.player import Player
    from pearl_lightning.experience.rollout import play_episode

    torch.set_num_threads(1)
    torch.manual_seed(0)
    env, agent, simulator, step = make_case(case, arenas)
    env.set_seed(0)
    generator = torch.Generator().manual_seed(0)
    seconds = dict.fromkeys(PARTS, 0.0)

    def timed(call: Callable[..., Any], part: str) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()  # a clock of CPU time can take longer than the call
            try:
                return call(*arguments, **named)
            finally:
                seconds[part] += time.perf_counter() - start

        return measured

    env.reset()  # starts the simulator
    engine = simulator()
    if engine is not None:
        setattr(engine, step, timed(getattr(engine, step), "simulator"))
    env.advance = timed(env.advance, "environment")

    def episode() -> dict[str, float]:
        player = Player(agent, arenas, generator=generator)
        player.act = timed(player.act, "policy")  # type: ignore[method-assign]
        seconds.update(dict.fromkeys(PARTS, 0.0))
        start, cpu_start = time.perf_counter(), time.process_time()
        rows = play_episode(env, player)
        whole, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        steps = int(rows["played"].sum()) * env.agents
        parts = seconds | {
            "environment": seconds["environment"] - seconds["simulator"],
            "recording": whole - seconds["policy"] - seconds["environment"],
        }
        shares = {part: cpu_seconds * each / whole for part, each in parts.items()}
        return {"steps": steps, "seconds": cpu_seconds, **shares}

    def evaluation() -> dict[str, float]:
        start = time.process_time()
        result = evaluate_adaptation(env, agent, range(min(arenas, 64)), episodes=2, matches=max(1, arenas // 64))
        return {"steps": result.env_steps * env.agents, "seconds": time.process_time() - start}

    return {"episode": episode, "evaluation": evaluation}


def make_case(case: str, arenas: int) -> tuple[Any, Any, Callable[[], Any], str]:
    """Environment, agent, a function that returns the simulator, and the name of the simulator's step."""
    from pearl_lightning.agents.pearl import PEARL
    from pearl_lightning.inference.belief import BeliefConfig
    from pearl_lightning.inference.context import ContextLayout

    if case == "derk":
        from pearl_lightning.derk.env import DerkEnv
        from pearl_lightning.derk.tasks import LoadoutTasks
        from pearl_lightning.trained import shipped_agent

        tasks = LoadoutTasks(train_tasks=64, opponent="random", bounties="shaped")  # as in configs/derk.yaml
        env = DerkEnv(arenas=arenas, tasks=tasks)
        return env, shipped_agent(), lambda: env._backend, "step"
    if case == "cheetah":
        from pearl_lightning.envs.mujoco.cheetah import CheetahVel
        from pearl_lightning.envs.parameters import ParameterTasks

        velocities = ParameterTasks(ranges={"velocity": (0.0, 3.0)}, train_tasks=64)
        runner = CheetahVel(arenas=arenas, tasks=velocities, threads=1)
        belief = BeliefConfig(context=ContextLayout(stride=10))
        agent = PEARL(runner.features, runner.action_space, belief=belief, normalize_observations=True)
        return runner, agent, lambda: runner.physics, "step"
    from pearl_lightning.envs.point_robot import GoalTasks, PointRobot

    robot = PointRobot(arenas=arenas, tasks=GoalTasks(train_tasks=64))
    return robot, PEARL(robot.features, robot.action_space), lambda: None, ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--arenas", nargs="+", type=int, default=list(ARENAS))
    parser.add_argument("--against", metavar="COMMIT", help="commit to compare with, such as HEAD~1")
    parser.add_argument("--rounds", type=int, default=5, help="measured episodes of each side")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve()
        return
    with files_of(options.against) if options.against else nullcontext() as checkout:
        sides = [Playing(each) for each in (ROOT, checkout) if each is not None]
        figures: dict[str, dict[int, Any]] = {}
        for case in options.cases:
            for arenas in options.arenas:
                found = figures.setdefault(case, {})[arenas] = measure(sides, case, arenas, options.rounds)
                print(f"{case}, {arenas} arenas: {description(found)}", flush=True)
        for side in sides:
            side.close()
    if options.json is not None:
        from benchmarks.figures_file import write_figures  # imports torch, which the two processes import themselves

        write_figures(options.json, {"against": options.against, "cases": figures})


def description(found: dict[str, Any]) -> str:
    """One measurement as text."""
    rates, parts = found["agent_steps_per_cpu_second"], found["microseconds_per_agent_step"]
    texts = [
        f"{rate:,.0f} agent steps per CPU second ("
        + ", ".join(f"{part} {microseconds:.2f}" for part, microseconds in each.items())
        + " µs per agent step)"
        for rate, each in zip(rates, parts, strict=True)
    ]
    texts[0] += f", an evaluation takes {found['evaluation_cost']:.2f} x as long"
    return "; before: ".join(texts) + (f"; ratio {found['ratio']:.2f}" if "ratio" in found else "")


if __name__ == "__main__":
    main()
