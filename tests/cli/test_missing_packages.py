"""Messages about packages that are not installed name the user, the package and the command that installs it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from pearl_lightning.cli import main
from pearl_lightning.missing import DISTRIBUTIONS, missing_package, needs

Fail = Callable[..., str]


@pytest.fixture
def fail(tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Fail:
    """The one line on stderr of a ``pearl fit`` that fails; ``users`` holds classes that import what is not there."""
    (tmp_path / "users_broken.py").write_text("import no_such_package\nclass Thing: pass\n")
    (tmp_path / "users.py").write_text(
        "from pytorch_lightning import Callback\n"
        "class AtOnce(Callback):\n    def __init__(self):\n        import no_such_package.part\n"
        "class Later(Callback):\n    def setup(self, *_, **__):\n        import no_such_package\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def line(*options: str) -> str:
        assert main(["fit", "--config", str(tiny_config), "--trainer.max_steps", "1", *options]) == 1
        assert not list(Path("runs").glob("*"))
        (told,) = capfd.readouterr().err.splitlines()
        return told.removeprefix("pearl: error: ")

    yield line
    for name in ("users", "users_broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("logger", "package"), [("WandbLogger", "wandb"), ("MLFlowLogger", "mlflow"), ("CometLogger", "comet-ml")]
)
@pytest.mark.parametrize("prefix", ["", "pytorch_lightning.loggers."])
def test_a_logger_without_its_package_names_it(fail: Fail, prefix: str, logger: str, package: str) -> None:
    if find_spec(package.replace("-", "_")) is not None:
        pytest.skip(f"{package} is installed")
    assert fail("--trainer.logger", prefix + logger) == f"{logger} needs {package}: pip install {package}"


def test_a_logger_with_settings_names_the_package_too(fail: Fail) -> None:
    if find_spec("wandb") is not None:
        pytest.skip("wandb is installed")
    told = fail("--trainer.logger", "WandbLogger", "--trainer.logger.project", "x")
    assert told == "WandbLogger needs wandb: pip install wandb"


@pytest.mark.parametrize(
    "option",
    ["model", "model.encoder", "model.optimizers.default", "data", "data.env", "data.env.tasks", "trainer.callbacks+"]
    + ["trainer.logger", "model.encoder.class_path"],
)
def test_a_class_whose_module_imports_a_missing_package_names_it(fail: Fail, option: str) -> None:
    told = fail(f"--{option}=users_broken.Thing")
    assert told.endswith("Thing needs no_such_package: pip install no_such_package")
    assert re.fullmatch(r"((model|data)[.\w]*: )?Thing needs .*", told)


@pytest.mark.parametrize(("name", "user"), [("AtOnce", "AtOnce"), ("Later", "users")])
def test_a_package_that_is_missed_when_it_is_used_is_named(fail: Fail, name: str, user: str) -> None:
    told = fail(f"--trainer.callbacks+=users.{name}")
    assert told == f"{user} needs no_such_package: pip install no_such_package"


@pytest.mark.parametrize("option", ["model.encoder", "data.env", "trainer.callbacks+", "trainer.logger"])
def test_a_misspelt_class_path_is_no_missing_package(fail: Fail, option: str) -> None:
    assert "No module named 'misspelt'" in fail(f"--{option}=misspelt.Thing")


def test_a_class_that_nobody_knows_by_its_name_is_asked_for_by_its_path(fail: Fail) -> None:
    assert fail("--trainer.logger", "LogLogger") == (
        "trainer.logger: there is no class LogLogger; give its path, module.Class"
    )


def test_a_package_that_is_too_old_is_named_with_the_version_it_needs() -> None:
    told = missing_package(
        "Problem with given class_path 'a.B': Requirement 'torch>=99' not met. HINT: Try running `pip install -U 'x'`"
    )
    assert told == "B needs torch>=99: pip install 'torch>=99'"


def test_packages_of_our_extras_are_installed_by_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pearl_lightning.missing.find_spec", lambda name: None)
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for module, wanted in DISTRIBUTIONS.items():
        quoted = f"'{wanted}'" if "[" in wanted else wanted
        assert needs("a.B", f"{module}.part") == f"B needs {module}: pip install {quoted}"
        extra = re.fullmatch(r"pearl-lightning\[(\w+)\]", wanted)
        if extra is not None:
            (packages,) = re.findall(rf"^{extra[1]} = \[(.*)\]", project, flags=re.MULTILINE)
            assert f'"{module.replace("_", "-")}' in packages


def test_a_missing_part_of_an_installed_package_is_not_asked_for() -> None:
    assert needs("a.B", "torch.no_such_part") is None
