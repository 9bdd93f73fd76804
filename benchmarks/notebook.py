"""The notebook of the documentation: ``python -m benchmarks.notebook`` executes it in full and stores its outputs.

A change of its code asks for this command; a test compares the code with the code that was executed.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOK = Path(__file__).parent.parent / "examples" / "quickstart.ipynb"
EXECUTED = "executed_sources"
"""Name in the notebook's metadata of the digest of the code that was executed."""
TIMEOUTS = {"timeout": 600, "startup_timeout": 120}  # seconds; one cell trains, another compiles the simulator


def read() -> NotebookNode:
    """Return the stored notebook."""
    return nbformat.read(NOTEBOOK, as_version=4)


def sources_digest(notebook: NotebookNode) -> str:
    """Return the SHA-256 digest of the sources of all code cells."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Execute a notebook in a folder, and put the outputs into its cells.

    Raises:
        CellExecutionError: A cell raised an error.
        CellTimeoutError: A cell exceeded the time limit.
    """
    where = {"metadata": {"path": str(folder)}}
    options = {"kernel_name": "python3", "coalesce_streams": True, "record_timing": False} | TIMEOUTS
    NotebookClient(notebook, resources=where, **options).execute()


def remove_notices(notebook: NotebookNode) -> None:
    """Remove what the cells wrote to stderr, except the progress bar: packages warn there about this machine."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                bars = [line for line in output.text.splitlines() if line.startswith("updates:")]
                output.text = "".join(f"{line}\n" for line in bars[-1:])
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("text") != ""]


def main() -> None:
    """Execute the notebook in an empty folder and store it with its outputs."""
    notebook = read()
    with tempfile.TemporaryDirectory() as folder:
        execute(notebook, Path(folder))
    remove_notices(notebook)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    language = {"name": "python"}  # without the version of this Python
    notebook.metadata = {"kernelspec": kernel, "language_info": language, EXECUTED: sources_digest(notebook)}
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
