"""The API reference: one page per package, which mkdocstrings fills from docstrings."""

from __future__ import annotations

import pkgutil

import pearl_lightning


def pages() -> dict[str, str]:
    """Markdown by package: a heading and one directive for each of its public modules."""
    found: dict[str, list[str]] = {"pearl_lightning": ["pearl_lightning"]}
    for module in pkgutil.walk_packages(pearl_lightning.__path__, "pearl_lightning."):
        name = module.name
        if name.rpartition(".")[2].startswith("_"):
            continue
        package = name if module.ispkg else name.rpartition(".")[0]
        found.setdefault(package, []).append(name)
    return {package: _page(package, modules) for package, modules in sorted(found.items())}


def _page(package: str, modules: list[str]) -> str:
    return f"# {package}\n\n" + "\n".join(f"::: {module}\n" for module in sorted(modules))
