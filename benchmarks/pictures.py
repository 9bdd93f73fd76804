"""Pictures of the documentation: ``python -m benchmarks.pictures [PICTURE ...]``.

``match.gif`` and ``match.png`` show matches of the shipped agent, with fixed seeds; ``match.png`` needs a browser (see
``pearl doctor``). ``benchmarks.pages`` draws the figures of results.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pyppeteer.launcher import launch
from pyppeteer.page import Page

from pearl_lightning.cli import main as pearl
from pearl_lightning.commands.entrants import entrant
from pearl_lightning.commands.environments import family_overlay, make_env, split
from pearl_lightning.derk.backends.game.install import find_browser
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.watching.pictures import FRAMES_PER_SECOND, gif_bytes, match_frames
from pearl_lightning.derk.watching.record import record_adaptation
from pearl_lightning.trained import SHIPPED

Found = TypeVar("Found")

WIDTH, HEIGHT = 1280, 930
TIMEOUT = 120.0  # seconds for a page
MATCH = ["--tasks", "opponents/known_styles", "--task", "4", "--sampled"]
MOMENT = 45  # frame of the match in match.png
ANIMATED_TASK, ANIMATION_PIXELS = 8, 480  # a sniper's; the agent loses its first episode and wins its third


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


PICTURES: dict[str, Callable[[Path], None]] = {
    "match.gif": match_animation,
    "match.png": match_page,
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
