"""The README is short, its links lead somewhere, and its figures are those of the results."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from doc_blocks import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = json.loads((ROOT / "docs" / "results" / "data" / "families.json").read_text(encoding="utf-8"))
ROWS = {  # page that the row links to: family and split of its figures
    "blind_loadouts": ("blind_loadouts", "test"),
    "sentinels": ("sentinels", "known_styles"),
    "bounties": ("bounties", "mixtures"),
    "opponents": ("opponents", "known_styles"),
    "loadouts": ("loadouts", "test"),
}
LAST_COLUMNS = ("oracle", "context_free", "ppo", "evolution_strategy")


def table_rows() -> dict[str, list[str]]:
    """The cells of the table of task families, by the page that a row links to."""
    section = README.partition("## What can be hidden\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| [")]
    return {
        re.findall(r"\(docs/results/(\w+)\.md\)", line)[0]: [cell.strip() for cell in line.split("|")[1:-1]]
        for line in lines
    }


def tables(page: str) -> dict[str, Any]:
    [found] = [each["tables"] for each in RESULTS if (each["family"], each["split"]) == ROWS[page]]
    return found


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+", cell)]


def test_every_family_is_in_the_table() -> None:
    assert set(table_rows()) == set(ROWS)
    assert {family for family, _ in ROWS.values()} == {each["family"] for each in RESULTS}


@pytest.mark.parametrize("page", ROWS)
def test_the_figures_of_a_family_are_those_of_the_results(page: str) -> None:
    measured, (_, _, returns, gain, *others) = tables(page), table_rows()[page]
    episodes = measured["pearl"]["episodes"]
    assert numbers(returns) == pytest.approx([episodes[index]["return_mean"] for index in (0, 2)], abs=0.0051)
    interval = [measured["pearl"]["gain"][name] for name in ("mean", "low", "high")]
    assert numbers(gain) == pytest.approx(interval, abs=0.0051)
    last = [measured[agent]["episodes"][2]["return_mean"] for agent in LAST_COLUMNS]
    assert [number for cell in others for number in numbers(cell)] == pytest.approx(last, abs=0.0051)


def test_links_lead_to_files_of_the_repository() -> None:
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", README) if not target.startswith("https://")]
    targets += re.findall(r'src="([^"]+)"', README)
    assert len(targets) > 20
    for target in targets:
        assert (ROOT / target.partition("#")[0]).is_file(), target


def test_a_reader_gets_through_it() -> None:
    assert len(README.splitlines()) <= 110
    pictures = re.findall(r'src="([^"]+)"|!\[[^\]]+\]\((?!https:)([^)\s]+)\)', README)
    assert len(pictures) == 3
    assert sum((ROOT / "".join(picture)).stat().st_size for picture in pictures) < 1.5e6  # bytes
