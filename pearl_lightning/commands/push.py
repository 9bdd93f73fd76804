"""``pearl push``: upload an agent, its settings and its results to the Hugging Face Hub."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from pearl_lightning.cli import readable
from pearl_lightning.commands import evaluate, watch
from pearl_lightning.commands.entrants import Entrant, entrant
from pearl_lightning.commands.parser import PearlParser, quiet
from pearl_lightning.hub import CHECKPOINT, FILES, PREFIX, SETTINGS, check_repo, is_shared, shared_settings

CARD, CONFIG, RESULTS, CLIP = FILES[3:]


def run(arguments: list[str]) -> None:
    """Write the files of an agent to a folder and upload them."""
    quiet()
    options = _parser().parse_args(arguments)
    check_repo(options.repo)
    if is_shared(options.checkpoint):
        raise ValueError(f"checkpoint must be a file or a run's folder, got {options.checkpoint}: it is on the Hub")
    if options.out is not None:
        folder = Path(options.out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"out must be a new or an empty folder, got {options.out}")
        _write(options, folder)
        print(f"Wrote {folder}")
        return
    from pearl_lightning.hub import require_login, upload

    require_login()  # before matches are played
    with tempfile.TemporaryDirectory() as made:
        _write(options, Path(made))
        address = upload(Path(made), options.repo, private=options.private)
    print(f"Pushed to {address}\nuse it with: pearl evaluate {PREFIX}{options.repo}")


def _write(options: Any, folder: Path) -> None:
    """Write all files of the repository."""
    from pearl_lightning.commands.environments import make_tasks
    from pearl_lightning.commands.shared_agent import write_agent, write_config
    from pearl_lightning.commands.stored_tasks import store_tasks
    from pearl_lightning.evaluation import write_json

    player = entrant(options.checkpoint, [], ())
    assert player.checkpoint is not None
    config = player.configs[0]
    tasks = make_tasks([config])
    results = _results(options.results, player)
    folder.mkdir(parents=True, exist_ok=True)
    updates = write_agent(player.checkpoint, config, folder / CHECKPOINT)
    write_config(config, folder / CONFIG)
    store_tasks(tasks, folder)
    shared = {name: value for name, value in results.items() if name not in ("checkpoint", "config")}  # local paths
    write_json(shared, folder / RESULTS)
    has_clip = options.clip and _film(player.checkpoint, folder / CLIP)
    _write_card(options, folder, tasks, updates, results, has_clip)


def _results(given: str | None, player: Entrant) -> dict[str, Any]:
    """Read the results of ``pearl evaluate``; run it first if there are none, or only those of an older checkpoint.

    Raises:
        ValueError: The file contains no results.
    """
    assert player.checkpoint is not None
    path = Path(given) if given else _results_file(player)
    if given is None and not (path.is_file() and path.stat().st_mtime >= player.checkpoint.stat().st_mtime):
        print(f"Evaluating {player.checkpoint}")
        evaluate.run([str(player.checkpoint), "--json", str(path)])
    results = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(results, dict) or not {"episodes", "gain", "split"} <= results.keys():
        raise ValueError(f"results must be a JSON file of pearl evaluate, got {path}")
    return results


def _results_file(player: Entrant) -> Path:
    """File of ``pearl evaluate`` with its default options."""
    assert player.checkpoint is not None
    variant = "" if player.is_deterministic(None) else "-sampled"
    return player.folder / f"evaluation-{player.checkpoint.stem}{variant}.json"


def _film(checkpoint: Path, clip: Path) -> bool:
    """Write the clip; return whether it could be drawn."""
    try:
        watch.run([str(checkpoint), "--out", str(clip)])
    except Exception as error:  # of the environment, or of a library that it draws with
        print(f"No clip: {readable(str(error))}")
        clip.unlink(missing_ok=True)
        return False
    return True


def _write_card(options: Any, folder: Path, tasks: Any, updates: int, results: dict[str, Any], has_clip: bool) -> None:
    from pearl_lightning.commands.environments import env_settings
    from pearl_lightning.commands.model_card import ModelCard
    from pearl_lightning.evaluation import AdaptationTable
    from pearl_lightning.foreign_code import foreign_code

    settings = shared_settings(folder)
    foreign = foreign_code(settings, folder)
    card = ModelCard(
        repo=options.repo,
        agent=settings[-1]["_class_path"].rpartition(".")[2],
        env=env_settings([folder / SETTINGS])["class_path"].rpartition(".")[2],
        tasks=type(tasks).__name__,
        hidden=tasks.hidden,
        updates=updates,
        split=results["split"],
        table=AdaptationTable.from_json(results),
        has_clip=has_clip,
        foreign=foreign,
        license=options.license,
    )
    (folder / CARD).write_text(card.markdown(), encoding="utf-8")
    if foreign is not None:
        print(
            f"{PREFIX}{options.repo} will be refused, because it contains {foreign!r}; the model card shows what to do"
        )


def _parser() -> PearlParser:
    parser = PearlParser(
        prog="pearl push",
        description="Upload an agent to the Hugging Face Hub: weights, settings, tasks, results, a clip, and a model "
        "card. hf://OWNER/NAME then names it wherever a command takes a checkpoint.",
    )
    parser.add_argument("checkpoint", type=str, help="A .ckpt of pearl fit, or a run's folder.")
    parser.add_argument("repo", type=str, help="Repository, OWNER/NAME. It is created if it does not exist.")
    parser.add_argument(
        "--results",
        type=str | None,
        help="JSON file of pearl evaluate with the results to publish; by default those of pearl evaluate CHECKPOINT, "
        "which is run first if they do not exist or are older than the checkpoint.",
    )
    parser.add_argument("--clip", type=bool, default=True, help="Whether to add a clip of an adaptation, if possible.")
    parser.add_argument("--license", type=str | None, help="License of the agent by its name on the Hub, such as mit.")
    parser.add_argument("--private", action="store_true", help="Create a private repository.")
    parser.add_argument("--out", type=str | None, help="Write the files to this folder and upload nothing.")
    return parser
