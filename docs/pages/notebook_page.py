"""A notebook as Markdown: its text, its code and its stored outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def notebook_page(path: Path) -> str:
    """Markdown of a notebook of nbformat 4."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return "\n\n".join(part for cell in notebook["cells"] for part in _cell(cell)) + "\n"


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    text = "".join(cell["source"])
    if cell["cell_type"] != "code":
        yield text
        return
    yield f"~~~~ python\n{text}\n~~~~"
    for output in cell["outputs"]:
        shown = output.get("data", {})
        if "text/html" in shown:
            yield f"<div>{''.join(shown['text/html'])}</div>"
        elif "image/png" in shown:
            source = f"data:image/png;base64,{shown['image/png'].strip()}"
            yield f'<p><img alt="Output of the code above" src="{source}"></p>'
        else:
            yield f"~~~~ text\n{''.join(output.get('text') or shown['text/plain']).rstrip()}\n~~~~"
