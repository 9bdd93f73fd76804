"""Skips the tests that need a browser where there is none, and says so in one line at the end.

A test marked ``page`` opens a page in a browser; one marked ``game`` plays the real game, which also needs GL
libraries. With ``REQUIRE_GAME=1`` such a test fails where it would be skipped.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator

import pytest

from pearl_lightning.derk.backends.game.install import APT_INSTALL, missing, missing_browser

NEEDS = {"game": ("the real game", missing), "page": ("pages in a browser", missing_browser)}
"""By marker: the kind of test, and the function that returns an error message if the machine lacks what it needs."""
SKIPPED = "skipped for"
"""Name of the property that a skipped test's report carries."""
_LACKED = pytest.StashKey[dict[str, str]]()


def _lacked(config: pytest.Config, marker: str) -> str:
    """Error message, asked once per session: starting a browser takes a moment."""
    known = config.stash.setdefault(_LACKED, {})
    if marker not in known:
        known[marker] = NEEDS[marker][1]()
    return known[marker]


def _finds_gpu() -> bool:
    import torch  # takes seconds, which tests without it need not wait for

    return torch.cuda.is_available()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail before any fixture is made."""
    if item.get_closest_marker("gpu") is not None and not _finds_gpu():
        pytest.skip("torch finds no CUDA GPU")  # make gpu-check requires one
    for marker in NEEDS:
        if item.get_closest_marker(marker) is None:
            continue
        if lacked := _lacked(item.config, marker):
            if os.environ.get("REQUIRE_GAME") == "1":
                pytest.fail(f"REQUIRE_GAME=1, but {lacked}; install: {APT_INSTALL}", pytrace=False)
            item.user_properties.append((SKIPPED, [marker, lacked]))
            pytest.skip(lacked)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """Print the line below everything else."""
    yield
    reports = [report for report in terminalreporter.getreports("skipped") if isinstance(report, pytest.TestReport)]
    found = [value for report in reports for name, value in report.user_properties if name == SKIPPED]
    if not found:
        return
    counts = Counter(marker for marker, _ in found)
    kinds = " and ".join(f"{count} of {NEEDS[marker][0]}" for marker, count in sorted(counts.items()))
    reasons = "; ".join(sorted({lacked for _, lacked in found}))
    tests = "1 test" if len(found) == 1 else f"{len(found)} tests"
    line = f"Skipped {tests} ({kinds}): {reasons}. Install with: make game-deps, or as root: {APT_INSTALL}"
    terminalreporter.write_line(line, yellow=True)
