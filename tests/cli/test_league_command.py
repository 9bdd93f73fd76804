"""``pearl league``: agents and styles against each other, by short names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pearl_lightning.cli import main
from pearl_lightning.derk.commands.league import _names


def test_a_league_is_printed_written_and_drawn(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = [f"--{kind}={tmp_path / f'league.{kind}'}" for kind in ("json", "png")]
    assert main(["league", "idle", "attacker", "--matches", "3", "--arenas", "6", *files]) == 0
    printed = capfd.readouterr()
    assert printed.err == ""
    table = json.loads((tmp_path / "league.json").read_text())
    assert table["players"] == ["idle", "attacker"]
    assert table["scores"][0][0] is None
    assert table["scores"][1][0] == 1.0  # the attacker wins every match at home
    assert table["elo"][1] > table["elo"][0]
    first = [line.split()[0] for line in printed.out.splitlines() if line]
    assert first.index("attacker") < first.index("idle")  # the strongest comes first
    assert (tmp_path / "league.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["idle"], "players must be at least 2, got 1"),
        (["idle", "idle"], "players must all be different, got idle, idle"),
        (["idle", "selves:hard"], "players must not change, got selves:hard"),
        (["idle", "nobody"], "unknown opponent 'nobody'"),
        (["idle", "no.ckpt"], "there is no checkpoint no.ckpt"),
        (["idle", "random", "--matches", "0"], "matches must be at least 1, got 0"),
    ],
)
def test_what_is_wrong_is_named(options: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["league", *options]) == 1
    errors = capfd.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_names_are_short_unless_they_clash() -> None:
    last, snapshot = "runs/a/checkpoints/last.ckpt", "runs/a/snapshots/update-00000500.ckpt"
    assert _names(["attacker", last, f"checkpoint:{snapshot}"]) == ["attacker", "a", "update-00000500"]
    other = "runs/b/snapshots/update-00000500.ckpt"
    assert _names([snapshot, other]) == [snapshot, other]
