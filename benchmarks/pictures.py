"""Pictures of the documentation: ``python -m benchmarks.pictures`` plays, opens the pages in a browser and shoots them.

Wants a browser (see ``pearl doctor``). The match is the shipped agent's, the same each time.
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
from pearl_lightning.envs.derk.game.install import find_browser

Found = TypeVar("Found")

WIDTH, HEIGHT = 1280, 930
TIMEOUT = 120.0  # seconds for a page
MATCH = ["--tasks", "opponents/known_styles", "--task", "4", "--sampled"]
MOMENT = 45  # frame of the match that is shown


def in_browser(path: Path, look: Callable[[Page], Coroutine[Any, Any, Found]]) -> tuple[Found, list[str]]:
    """What ``look`` finds on a page, and what the page complained about.

    Raises:
        GameUnavailable: There is no browser.
        TimeoutError: It took too long.
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Write ``match.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)

    async def shoot(page: Page) -> None:
        await page.evaluate(f"choose(1), seek({MOMENT})", force_expr=True)
        await page.screenshot({"path": str(options.output / "match.png")})

    with tempfile.TemporaryDirectory() as folder:
        match = Path(folder) / "match.html"
        if pearl(["watch", *MATCH, "--out", str(match)]):
            raise SystemExit(1)
        _, complaints = in_browser(match, shoot)
    if complaints:
        raise SystemExit(f"the page complained: {complaints}")


if __name__ == "__main__":
    main()
