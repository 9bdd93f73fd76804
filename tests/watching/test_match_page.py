"""The page of a match: what it holds, and what a browser shows of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyppeteer.page import Page

from benchmarks.pictures import in_browser
from pearl_lightning.derk.interface import BOUNTY_KEYS
from pearl_lightning.derk.watching import MatchRecord, MatchView
from pearl_lightning.derk.watching.page import match_page
from tests.watching.small_matches import small_records

TITLE = 'a <b>bold</b> "title" </script><script>throw 1</script>'
AGENT = "small <i>agent</i>"


@pytest.fixture(scope="module")
def records() -> list[MatchRecord]:
    return small_records(observe_every=20)


@pytest.fixture(scope="module")
def page(records: list[MatchRecord]) -> str:
    return match_page(records, TITLE, AGENT)


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r"^const match = (.*);$", page, re.MULTILINE)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_page_holds_the_match(page: str, records: list[MatchRecord]) -> None:
    data = embedded(page)
    assert data["title"] == TITLE
    for shown, record in zip(data["episodes"], records, strict=True):
        frames, members = record.states["hitpoints"].shape
        assert shown["frames"] == frames
        np.testing.assert_allclose(
            np.reshape(shown["x"], (frames, members)), record.states["position"][..., 0], atol=0.006
        )
        np.testing.assert_allclose(
            np.reshape(shown["hitpoints"], (frames, members)), record.states["hitpoints"], atol=0.06
        )
        assert shown["beliefSteps"] == list(record.belief_steps)
        np.testing.assert_allclose(shown["zMean"], record.z_mean, atol=6e-4)
        np.testing.assert_allclose(shown["zStd"], record.z_std, atol=6e-4)
        own = sum(amount for _, agent, _, amount in shown["rewards"] if agent < 3)
        assert own == pytest.approx(record.returns[0], abs=0.02)
        assert {data["bounties"][bounty] for _, _, bounty, _ in shown["rewards"]} <= {
            "damageTaken",
            "killEnemyUnit",
            "killEnemyStatue",
        }
        flying = [shot for shot in shown["shots"] if shot[0] == 20]
        assert len(flying) == (record.shot_targets[20] >= 0).sum()
    assert data["bounties"] == list(BOUNTY_KEYS)


def test_the_page_needs_nothing_else_and_its_names_are_only_text(page: str) -> None:
    assert len(page.encode()) < 2 * 2**20
    assert not re.search(r'(src|href)\s*=\s*["\'](?!data:)', page)
    assert "https://" not in page
    assert "http://" not in page
    assert "throw 1</script>" not in page
    assert "<i>agent" not in page
    assert "small &lt;i&gt;agent&lt;/i&gt; (blue, home) against attacker (orange)" in page
    assert "<title>a &lt;b&gt;bold&lt;/b&gt;" in page


@pytest.mark.parametrize("make", [match_page, MatchView])
def test_no_episode_is_refused(make: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="records must contain at least one episode, got none"):
        make([], "nothing", "nobody")


def test_a_notebook_shows_the_page_in_a_frame(page: str, records: list[MatchRecord]) -> None:
    view, found = MatchView(records, TITLE, AGENT), []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Tags().feed(view._repr_html_())
    [(tag, attributes)] = found
    assert (tag, attributes["title"], attributes["srcdoc"]) == ("iframe", TITLE, page)
    assert attributes["sandbox"] == "allow-scripts"  # no access to the notebook around it
    assert view.page == page
    assert len(repr(view)) < 100


@pytest.mark.page
def test_a_browser_plays_the_page_in_the_frame(records: list[MatchRecord], tmp_path: Path) -> None:
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html>{MatchView(records, 'a match', AGENT)._repr_html_()}", encoding="utf-8")

    async def look(notebook: Page) -> list[bytes]:
        """Pictures before and after the keys of the last episode and of play; another process draws the frame."""
        pictures = [await notebook.screenshot()]
        await notebook.mouse.click(300, 300)
        deadline = time.monotonic() + 60
        while len(pictures) < 4 and time.monotonic() < deadline:
            if (picture := await notebook.screenshot()) != pictures[-1]:
                pictures.append(picture)
            else:  # not started yet, or over, as pictures take seconds on a busy machine
                await notebook.keyboard.press(str(len(records)))
                await notebook.keyboard.press("Space")
        return pictures

    pictures, complaints = in_browser(path, look)
    assert complaints == []
    assert len(pictures) == 4  # it moves


@pytest.mark.page
def test_a_browser_plays_scrubs_and_shows_the_final_score(
    page: str, records: list[MatchRecord], tmp_path: Path
) -> None:
    path = tmp_path / "match.html"
    path.write_text(page, encoding="utf-8")

    async def look(browser: Page) -> dict[str, Any]:
        found: dict[str, Any] = {"heading": await browser.evaluate("document.querySelector('h1').textContent")}
        found["players"] = await browser.evaluate("document.querySelector('header span').innerText")
        found["painted"] = await browser.evaluate(
            "new Set(element('arena').getContext('2d').getImageData(0, 0, 200, 200).data).size"
        )
        await browser.keyboard.press("Space")
        await browser.waitForFunction("now > 3 && playing", {"timeout": 60_000})
        await browser.keyboard.press("Space")
        found["playing"] = await browser.evaluate("playing")
        for episode in range(len(records)):
            await browser.keyboard.press(str(episode + 1))
            await browser.evaluate(
                "element('scrub').value = element('scrub').max; element('scrub').dispatchEvent(new Event('input'))",
                force_expr=True,
            )
            found[f"score {episode}"] = await browser.evaluate("element('score').textContent")
        found["row"] = await browser.evaluate("document.querySelector('#table tr.now').textContent")
        found["agents"] = await browser.evaluate("document.querySelectorAll('.agent').length")
        found["moments"] = await browser.evaluate("[0, 19, 20, 39.5, 40].map(momentAt)")
        found["within"] = await browser.evaluate("element('within').hidden")
        lines = "new Set(element('moments').getContext('2d').getImageData(0, 0, 200, 90).data).size"
        found["lines"] = await browser.evaluate(lines)
        await browser.evaluate("view.episode.beliefSteps.length = 1; draw()", force_expr=True)
        found["between"] = await browser.evaluate("element('within').hidden")
        return found

    found, complaints = in_browser(path, look)
    assert complaints == []
    assert found["heading"] == TITLE
    assert found["players"] == (
        f"{AGENT} (blue, home) against attacker (orange) · reward weights: "
        "killEnemyStatue 4, killEnemyUnit 1, damageTaken -0.01"
    )
    assert found["painted"] > 20
    assert found["playing"] is False
    for episode, record in enumerate(records):
        own, other = (float(number) for number in found[f"score {episode}"].split(":"))
        assert own == pytest.approx(record.returns[0], abs=0.02)
        assert other == pytest.approx(record.returns[1], abs=0.02)
    assert found["row"].startswith(f"episode {len(records) - 1}")
    assert found["agents"] == 6
    assert found["moments"] == [0, 0, 1, 1, 2]
    assert (found["within"], found["between"]) == (False, True)
    assert found["lines"] > 10
