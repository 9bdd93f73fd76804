"""Tables of the page on speed, from the files that ``benchmarks.collection``, ``update`` and ``simulator`` write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.pages.tables import table

CASES = {"derk": "Derk's Gym", "cheetah": "half-cheetah", "point_robot": "point robot"}
"""Names of the environments of ``collection.json``, in the order of the rows."""


def _read(data: Path, name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((data / f"{name}.json").read_text(encoding="utf-8"))
    return read


def finding(data: Path) -> list[str]:
    """Main result as one sentence."""
    rates = [found["agent_steps_per_cpu_second"][0] for case, _, found in _collected(data) if case == CASES["derk"]]
    quickstart = _read(data, "updates")["updates"][0]
    return [
        f"An agent plays {min(rates):,.0f} to {max(rates):,.0f} agent steps of Derk's Gym per second of one core, "
        f"and an update of `{quickstart['config']}` takes {quickstart['milliseconds']:.0f} ms."
    ]


def machine(data: Path) -> list[str]:
    """Sentence that names the machine of the measurements."""
    texts = []
    for name in ("collection", "updates", "updates_busy", "updates_busy_spinning", "simulator"):
        found = _read(data, name)["machine"]
        text = f"{found['processor']}, {found['cores']} cores, {found['instructions']}"
        texts += [text] * (text not in texts)
    return [f"Machine: {'; '.join(texts)}."]


def collection(data: Path) -> list[str]:
    """Table of collection by environment and number of arenas."""
    head = ["environment", "arenas", "speed-up", "agent steps per CPU second", "policy", "simulator", "environment"]
    rows = []
    for case, arenas, found in _collected(data):
        parts = found["microseconds_per_agent_step"][0]
        cells = [f"{parts[part]:.2f}" for part in ("policy", "simulator", "environment", "recording")]
        rate = f"{found['agent_steps_per_cpu_second'][0]:,.0f}"
        rows.append([case, f"{arenas:,}", f"{found['ratio']:.2f}", rate, *cells])
    return table([*head, "recording"], rows)


def evaluation(data: Path) -> list[str]:
    """Sentence on the cost of an evaluation."""
    costs = [found["evaluation_cost"] for _, _, found in _collected(data)]
    return [f"An evaluation takes {min(costs):.2f} to {max(costs):.2f} times as long per agent step as collection."]


def _collected(data: Path) -> list[tuple[str, int, dict[str, Any]]]:
    """Name, arenas and figures of every measurement of collection."""
    cases = _read(data, "collection")["cases"]
    return [(text, int(arenas), found) for name, text in CASES.items() for arenas, found in cases[name].items()]


def updates(data: Path) -> list[str]:
    """Table of the updates of shipped configs."""
    rows = [
        [
            f"`{each['config']}`",
            str(each["threads"]),
            f"{100 * each['share_of_gemm_rate']:.0f} %",
            f"{each['milliseconds']:.1f}",
            f"{each['gflop']:.2f}",
        ]
        for each in _read(data, "updates")["updates"]
    ]
    return table(
        ["config", "threads", "share of the rate of a large product", "ms per update", "GFLOP per update"], rows
    )


def busy(data: Path) -> list[str]:
    """Table of updates beside another program, for both ways in which threads can wait."""
    alone, ours, spinning = (_read(data, f"updates{name}")["updates"][0] for name in ("", "_busy", "_busy_spinning"))
    cases = (
        ("nothing else runs", alone),
        ("another program needs a core", ours),
        ("the same, and threads wait as long as libgomp does by default", spinning),
    )
    rows = [
        [text, f"{each['milliseconds'] / alone['milliseconds']:.1f}", f"{each['milliseconds']:.0f}"]
        for text, each in cases
    ]
    return table([f"`{alone['config']}` with {alone['threads']} threads", "relative time", "ms per update"], rows)


def simulator(data: Path) -> list[str]:
    """Table of the simulator's speed."""
    rates = _read(data, "simulator")["agent_steps_per_s"]
    return table(
        ["simulator", "million agent steps per second"], [[name, f"{rate / 1e6:.2f}"] for name, rate in rates.items()]
    )


def plot(data: Path) -> Figure:
    """Draw the time per agent step by part, for every environment and number of arenas."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    for axes, case in zip(figure.subplots(1, len(CASES)), CASES.values(), strict=True):
        found = [(arenas, each) for text, arenas, each in _collected(data) if text == case]
        for row, (_, each) in enumerate(found):
            left, parts = 0.0, each["microseconds_per_agent_step"][0]
            for number, (part, microseconds) in enumerate(parts.items()):
                axes.barh(row, microseconds, left=left, color=f"C{number}", label=part if row == 0 else None)
                left += microseconds
            axes.text(left, row, f" {left:.1f}", va="center", fontsize=8)
        axes.set_yticks(range(len(found)), [f"{arenas:,}" for arenas, _ in found])
        axes.set_title(case, fontsize=9)
        axes.set_xlabel("µs per agent step", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.margins(x=0.2)
    figure.axes[0].set_ylabel("arenas")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, fontsize=8)
    return figure
