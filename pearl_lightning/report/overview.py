"""What was trained on what, and what came of it, in a sentence and a row per run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pearl_lightning.report.markup import UNKNOWN, duration, interval, is_known, number, table
from pearl_lightning.report.records import RunRecord

LEARNERS = {
    "PEARL": "infers the hidden task from experience and acts on that belief",
    "PPO": "a policy-gradient baseline that infers nothing of the task",
    "EvolutionStrategy": "a search over weights, without gradients; it infers nothing of the task",
}
WORLDS = {
    "GoalTasks": "the point robot, whose goal is hidden",
    "LoadoutTasks": "Derk's Gym, where the items of the creatures differ",
    "OpponentTasks": "Derk's Gym, where the style of the opponent is hidden",
    "BountyTasks": "Derk's Gym, where what pays is hidden",
    "BlindLoadoutTasks": "Derk's Gym, where the own items are hidden",
    "MixtureTasks": "Derk's Gym, with several families of tasks",
}
"""Families of tasks in words; another one is told by its class."""


def overview(runs: Sequence[RunRecord]) -> str:
    """A card per run, and a table of the results."""
    cards = "".join(_card(number_, run, len(runs) > 1) for number_, run in enumerate(runs))
    rows = [_result(run) for run in runs]
    head = ("run", "learner", "return before training", "return, nothing seen", "return after adapting")
    results = table((*head, "gain by adapting", "win rate after adapting"), rows, "results")
    return f'<div class="cards">{cards}</div><h3>Results on validation tasks</h3>{results}' + (
        '<p class="hint">From the last evaluation in training; “before training” is the last episode of the first '
        "evaluation. In brackets: 95 % intervals, which say how far a number would move if the same agent played "
        "the same tasks again, not how another training run would do.</p>"
    )


def learner(run: RunRecord) -> str:
    """Class of what was trained, in words where another encoder makes another learner of it."""
    name = run.class_name("model") or "an agent"
    return f"{name} without context" if run.class_name("model.encoder") == "ContextFreeEncoder" else name


def first_and_last(run: RunRecord) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Tables of the first and of the last evaluation; None where there is none."""
    return (run.history[0]["table"], run.history[-1]["table"]) if run.history else None


def _card(colour: int, run: RunRecord, is_compared: bool) -> str:
    mark = f'<span class="dot run-{colour}"></span>' if is_compared else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in run.notes)
    return (
        f'<section class="card"><h3>{mark}{escape(run.name)}</h3><p>{_sentence(run)}</p><p>{_verdict(run)}</p>'
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
        + "</section>"
    )


def _sentence(run: RunRecord) -> str:
    kind = run.class_name("model")
    what = f"<b>{escape(learner(run))}</b>"
    if kind in LEARNERS and learner(run) == kind:
        what += f" ({escape(LEARNERS[kind])})"
    world = "data.env" if run.setting("data.env.env") is None else "data.env.env"  # one worker's, of several
    family, backend = run.class_name(f"{world}.tasks"), run.setting(f"{world}.backend")
    where = ""
    if family is not None:
        where = f" on <b>{escape(family)}</b> ({escape(WORLDS.get(family, run.class_name(world) or ''))}"
        where += (
            f", played in the {'real game' if backend == 'game' else escape(backend)})"
            if isinstance(backend, str)
            else ")"
        )
    planned = run.setting("trainer.max_steps")
    of = f" of {planned:,}" if isinstance(planned, int) and planned > 0 else ""
    seconds = run.summary.get("seconds")
    time = f", in {duration(seconds)}" if is_known(seconds) else ""
    return (
        f"{what} was trained{where} for {number(run.updates, ',')}{of} updates on {number(run.env_steps, ',')} "
        f"environment steps{time}."
    )


def _verdict(run: RunRecord) -> str:
    """What the evaluations say, no stronger than their intervals allow."""
    tables = first_and_last(run)
    if tables is None:
        return "It was not evaluated on validation tasks yet."
    first, last = tables
    episodes, gain = last["episodes"], last["gain"]
    learned = (
        f"On tasks it never trained on, its return went from {number(first['episodes'][-1]['return_mean'])} before "
        f"training to {number(episodes[-1]['return_mean'])}."
        if len(run.history) > 1
        else f"The only evaluation so far gave a return of {number(episodes[-1]['return_mean'])}."
    )
    if len(episodes) == 1:
        return learned
    if not is_known(gain.get("low"), gain.get("high")):
        return f"{learned} What adapting gains is uncertain: one match per task tells no interval."
    seen = "one episode" if len(episodes) == 2 else f"{len(episodes) - 1} episodes"
    if gain["low"] > 0:
        text = f"It adapts: after {seen} of a task, its return is higher by {interval(gain)}."
        earlier = first["gain"]
        if len(run.history) > 1 and is_known(earlier.get("low")) and earlier["low"] > 0:
            text += f" But before training the gain was already {interval(earlier)}, so not all of it was learned."
    elif gain["high"] < 0:
        text = f"Experience of a task makes it worse: after {seen}, its return changes by {interval(gain)}."
    else:
        text = f"It shows no clear gain from experience of a task: {interval(gain)} after {seen}."
    return f"{learned} {text}"


def _result(run: RunRecord) -> list[str]:
    tables = first_and_last(run)
    named = [escape(run.name), escape(learner(run))]
    if tables is None:
        return named + [UNKNOWN] * 5
    first, last = tables
    names, wins = ("return_mean", "return_low", "return_high"), ("win_rate", "win_low", "win_high")
    return [
        *named,
        interval(first["episodes"][-1], names=names),
        interval(last["episodes"][0], names=names),
        interval(last["episodes"][-1], names=names),
        interval(last["gain"]),
        interval(last["episodes"][-1], ".1%", wins) if "win_rate" in last["episodes"][-1] else "no winners here",
    ]
