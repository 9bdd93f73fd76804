"""Agents on the Hugging Face Hub: ``hf://OWNER/NAME`` in place of a checkpoint, and the upload of a folder."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pearl_lightning import __version__
from pearl_lightning.foreign_code import foreign_code

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PREFIX = "hf://"
CHECKPOINT, SETTINGS, TASKS = "agent.ckpt", "agent.yaml", "tasks.json"
"""Files of a repository that are downloaded: weights, environment with the mode of the policy, and tasks."""
FILES = (CHECKPOINT, SETTINGS, TASKS, "README.md", "config.yaml", "adaptation.json", "adaptation.gif")
"""All files that ``pearl push`` uploads."""
TIMEOUT = 20.0
"""Seconds to wait for each answer of the Hub."""

_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_NAME = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>(?!.*\.\.)[\w.+-]+(?:/[\w.+-]+)*))?")
_LOGIN = "log in with 'hf auth login', or set HF_TOKEN"


def is_shared(name: str) -> bool:
    """Whether a checkpoint is named as an agent on the Hub."""
    return name.startswith(PREFIX)


def shared_name(checkpoint: Path) -> str | None:
    """Return ``hf://OWNER/NAME@COMMIT`` of a downloaded checkpoint; None for all other files."""
    *_, cached, snapshots, commit, _ = ("", "", "", *checkpoint.parts)
    kind, *repo = cached.split("--")
    return f"{PREFIX}{'/'.join(repo)}@{commit}" if kind == "models" and snapshots == "snapshots" else None


def check_repo(repo: str) -> None:
    """Raise an error if a repository is not named as ``OWNER/NAME``.

    Raises:
        ValueError: It is not.
    """
    if not _REPO.fullmatch(repo):
        raise ValueError(f"repo must be OWNER/NAME, got {repo}")


def download(name: str) -> Path:
    """Download an agent to the cache of ``huggingface_hub``, unless it is there; return its checkpoint.

    Args:
        name: ``hf://OWNER/NAME`` or ``hf://OWNER/NAME@REVISION``, with a branch, a tag or a commit.

    Raises:
        ConnectionError: The Hub does not answer, and the agent is not in the cache.
        FileNotFoundError: The repository, the revision or a file does not exist, or a token is needed.
        ModuleNotFoundError: ``huggingface_hub`` is not installed.
        PermissionError: The token does not give access.
        ValueError: The name is not valid, the checkpoint cannot be read, or the settings name foreign code.
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise ValueError(f"an agent on the Hub must be named hf://OWNER/NAME or hf://OWNER/NAME@REVISION, got {name}")
    api = _api()
    with _clear_errors(api, parts["repo"], parts["revision"]):
        wanted = [CHECKPOINT, SETTINGS, TASKS]
        folder = Path(api.snapshot_download(parts["repo"], revision=parts["revision"], allow_patterns=wanted))
    for file in (CHECKPOINT, SETTINGS):
        if not (folder / file).is_file():
            raise FileNotFoundError(f"{name} has no file {file}: it must be a repository that pearl push has written")
    _check(name, parts["repo"], folder)
    return folder / CHECKPOINT


def _check(name: str, repo: str, folder: Path) -> None:
    """Check that a downloaded agent can be read, and that it loads no code from outside of this library."""
    try:
        foreign = foreign_code(shared_settings(folder), folder)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{name} cannot be loaded: {error}") from error
    if foreign is not None:
        raise ValueError(
            f"{name} is not loaded, because its settings contain {foreign!r}, which could run code from outside of "
            f"this library. If you trust it: hf download {repo} --local-dir FOLDER, and use FOLDER/{CHECKPOINT}"
        )


def shared_settings(folder: Path) -> list[Any]:
    """Return the contents of ``SETTINGS`` and ``TASKS`` in a folder, and the hyperparameters of ``CHECKPOINT``.

    Raises:
        ValueError: A file cannot be read.
    """
    from pearl_lightning.checkpoints import load_checkpoint  # imports torch

    hyperparameters = load_checkpoint(folder / CHECKPOINT)["hyper_parameters"].copy()
    hyperparameters.pop("_instantiator", None)  # Lightning accepts only its own function
    settings = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    tasks = folder / TASKS
    return [settings, json.loads(tasks.read_text(encoding="utf-8")) if tasks.is_file() else None, hyperparameters]


def require_login() -> None:
    """Raise an error if nothing can be uploaded, before long work.

    Raises:
        ModuleNotFoundError: ``huggingface_hub`` is not installed.
        PermissionError: There is no token.
    """
    _api()
    from huggingface_hub import get_token

    if get_token() is None:
        raise PermissionError(f"pearl push needs a token of the Hub with write access: {_LOGIN}")


def upload(folder: Path, repo: str, private: bool = False) -> str:
    """Upload a folder with some of ``FILES`` as one commit; return the address of the repository.

    The repository is created if it does not exist. Others of ``FILES`` are deleted in it.

    Args:
        folder: The folder.
        repo: ``OWNER/NAME``.
        private: Whether the repository must be private.

    Raises:
        ConnectionError: The Hub does not answer.
        ModuleNotFoundError: ``huggingface_hub`` is not installed.
        PermissionError: The token does not allow it.
        ValueError: The repository exists and is public, but must be private.
    """
    api = _api()
    with _clear_errors(api, repo, None):
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.repo_info(repo).private:
            raise ValueError(f"--private contradicts {repo}, which exists and is public")
        stale = [file for file in FILES if not (folder / file).is_file()]
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Push an agent", delete_patterns=stale)
    return f"{api.endpoint}/{repo}"


def _api() -> HfApi:
    """Return the interface of the Hub, with time limits, and progress bars only in a terminal."""
    try:
        from huggingface_hub import HfApi, get_session
        from huggingface_hub.utils import disable_progress_bars
    except ModuleNotFoundError as error:
        needed = "agents on the Hub need huggingface_hub: pip install 'pearl-lightning[hub]'"
        raise ModuleNotFoundError(needed, name="huggingface_hub") from error
    if not sys.stderr.isatty():
        disable_progress_bars()
    session = get_session()
    hooks = session.event_hooks
    if _limit not in hooks["request"]:
        session.event_hooks = {**hooks, "request": [*hooks["request"], _limit]}
    return HfApi(library_name="pearl-lightning", library_version=__version__)


def _limit(request: Any) -> None:
    """Set the time limits that a request lacks: ``huggingface_hub`` itself sets none for most requests."""
    given = request.extensions.get("timeout") or {}
    limits = {kind: given.get(kind) or TIMEOUT for kind in ("connect", "read", "write", "pool")}
    request.extensions = {**request.extensions, "timeout": limits}


@contextmanager
def _clear_errors(api: HfApi, repo: str, revision: str | None) -> Iterator[None]:
    """Replace the errors of requests by errors of one line."""
    try:
        yield
    except Exception as error:
        clear = _clear_error(error, api.endpoint, repo, revision)
        if clear is None:
            raise
        raise clear from error


def _clear_error(error: BaseException | None, endpoint: str, repo: str, revision: str | None) -> OSError | None:
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError):  # the agent is not in the cache either
        return _clear_error(error.__cause__, endpoint, repo, revision)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return ConnectionError(f"HF_HUB_OFFLINE forbids requests, and {repo} is not in the cache")
    if isinstance(error, errors.GatedRepoError):
        return PermissionError(f"access to {repo} must be granted by its owner: ask for it at {endpoint}/{repo}")
    if isinstance(error, errors.RevisionNotFoundError):
        return FileNotFoundError(f"{repo} on {endpoint} has no revision {revision}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return FileNotFoundError(f"there is no repository {repo} on {endpoint}, or it is private: then {_LOGIN}")
    if isinstance(error, errors.HfHubHTTPError):
        status, reason = error.response.status_code, error.server_message or "no reason given"
        if status in (401, 403):
            return PermissionError(f"the token does not give access to {repo} on {endpoint} ({reason}): {_LOGIN}")
        return OSError(f"{endpoint} answered {status} for {repo}: {reason}")
    if type(error).__module__.partition(".")[0].startswith(("httpx", "httpcore")):
        return ConnectionError(f"{endpoint} cannot be reached: {error or type(error).__name__}")
    return None
