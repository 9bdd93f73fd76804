"""Pictures of the documentation: ``python -m benchmarks.pictures [PICTURE ...]``.

``match.gif`` and ``match.png`` show matches of the shipped agent, with fixed seeds; ``match.png`` needs a browser (see
``pearl doctor``). ``blind_adaptation.png`` shows results from ``docs/results/families.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from matplotlib.figure import Figure
from pyppeteer.launcher import launch
from pyppeteer.page import Page

from pearl_lightning.cli import main as pearl
from pearl_lightning.commands.entrants import entrant
from pearl_lightning.commands.environments import family_overlay, make_env, split
from pearl_lightning.derk.backends.game.install import find_browser
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.watching.pictures import FRAMES_PER_SECOND, gif_bytes, match_frames
from pearl_lightning.derk.watching.record import record_adaptation
from pearl_lightning.evaluation import AdaptationTable
from pearl_lightning.trained import SHIPPED

Found = TypeVar("Found")

WIDTH, HEIGHT = 1280, 930
TIMEOUT = 120.0  # seconds for a page
MATCH = ["--tasks", "opponents/known_styles", "--task", "4", "--sampled"]
MOMENT = 45  # frame of the match in match.png
ANIMATED_TASK, ANIMATION_PIXELS = 8, 480  # a sniper's; the agent loses its first episode and wins its third
RESULTS = Path(__file__).parent.parent / "docs" / "results" / "families.json"
SHOWN = {  # agent of the results: label, colour and line style in blind_adaptation.png
    "pearl": ("PEARL", "#0969da", "-"),
    "oracle": ("oracle\n(observes the items)", "#1a7f37", "--"),
    "context_free": ("context-free\n(no belief)", "#6e7781", "--"),
    "pearl, wrong context": ("PEARL, given another\ntask's episodes", "#bc4c00", ":"),
}
SHIFTS = {"pearl": 0.6, "oracle": -0.5}  # keep the labels of close lines apart


def in_browser(path: Path, look: Callable[[Page], Coroutine[Any, Any, Found]]) -> tuple[Found, list[str]]:
    """Open a page in a browser; return the result of ``look`` and the errors of the page.

    Raises:
        GameUnavailable: No browser is installed.
        TimeoutError: The time limit is exceeded.
    """

    async def visit() -> tuple[Found, list[str]]:
        browser = await launch(
            executablePath=find_browser(None),
            args=["--no-sandbox", "--headless=new", "--disable-gpu", "--no-proxy-server"],
            handleSIGINT=False,
            handleSIGTERM=False,
            handleSIGHUP=False,
        )
        try:
            complaints: list[str] = []
            page = await browser.newPage()
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("requestfailed", lambda request: complaints.append(request.url))
            await page.setViewport({"width": WIDTH, "height": HEIGHT})
            await page.goto(path.absolute().as_uri())
            return await look(page), complaints
        finally:
            with contextlib.suppress(Exception):
                await browser.close()

    return asyncio.run(asyncio.wait_for(visit(), TIMEOUT))


def match_page(folder: Path) -> None:
    """Write ``match.png``: a screenshot of the page of a match."""

    async def shoot(page: Page) -> None:
        await page.evaluate(f"choose(1), seek({MOMENT})", force_expr=True)
        await page.screenshot({"path": str(folder / "match.png")})

    with tempfile.TemporaryDirectory() as temporary:
        match = Path(temporary) / "match.html"
        if pearl(["watch", *MATCH, "--out", str(match)]):
            raise SystemExit(1)
        _, complaints = in_browser(match, shoot)
    if complaints:
        raise SystemExit(f"the page has errors: {complaints}")


def match_animation(folder: Path) -> None:
    """Write ``match.gif``: three episodes of the shipped agent against a sniper, at double speed."""
    overlay, split_name = family_overlay("opponents/known_styles")
    player = entrant(SHIPPED, [], overlay)
    env = make_env(player.configs, "simulator", arenas=1, statistics=True)
    assert isinstance(env, DerkEnv)
    task = split(env, split_name)[ANIMATED_TASK]
    records = record_adaptation(env, player.agent(env), task, episodes=3, seed=0, deterministic=False)
    env.close()
    frames = match_frames(records, pixels=ANIMATION_PIXELS, every=2)
    (folder / "match.gif").write_bytes(gif_bytes(frames, float(FRAMES_PER_SECOND)))


def adaptation(folder: Path) -> None:
    """Write ``blind_adaptation.png``: return by number of episodes seen before in *Blind loadouts*."""
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))
    [tables] = [each["tables"] for each in measured if each["family"] == "blind_loadouts"]
    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    for agent, (label, colour, style) in SHOWN.items():
        rows = AdaptationTable.from_json(tables[agent]).episodes
        seen, means = [row.episode for row in rows], [row.return_mean for row in rows]
        axes.plot(seen, means, color=colour, linestyle=style, marker="o", linewidth=2.2)
        low, high = [row.return_low for row in rows], [row.return_high for row in rows]
        axes.fill_between(seen, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.text(seen[-1] + 0.08, means[-1] + SHIFTS.get(agent, 0.0), label, color=colour, va="center")
    axes.set_xlim(-0.1, 3.25)
    axes.set_ylim(0, 14)
    axes.set_xticks([0, 1, 2])
    axes.set_xlabel("episodes of the task seen before")
    axes.set_ylabel("team return per episode")
    axes.set_title("The agent must find out which item is in which slot", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    figure.savefig(folder / "blind_adaptation.png")


PICTURES: dict[str, Callable[[Path], None]] = {
    "match.gif": match_animation,
    "match.png": match_page,
    "blind_adaptation.png": adaptation,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pictures that the arguments name, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help=f"{', '.join(PICTURES)}; all by default")
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    options = parser.parse_args(arguments)
    unknown = set(options.pictures) - set(PICTURES)
    if unknown:
        parser.error(f"PICTURE must be one of {', '.join(PICTURES)}, got {', '.join(sorted(unknown))}")
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.pictures or PICTURES:
        PICTURES[name](options.output)


if __name__ == "__main__":
    main()
