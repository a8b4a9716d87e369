"""The notebook of the documentation: its outputs are those that its cells give, as IPython shows them.

`LABKIT_WRITE_NOTEBOOK=1` writes the outputs anew.
"""

import io
import json
import os
from contextlib import redirect_stdout
from html import unescape
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs/notebook.ipynb"
ipython = pytest.importorskip("IPython.core.interactiveshell", reason="IPython is not installed")


def executed(cells: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The outputs of each code cell, in the form of notebooks (nbformat 4.5)."""
    shell = ipython.InteractiveShell.instance(history_manager=None)
    found = []
    for number, cell in enumerate(cells, 1):
        shown: list[dict[str, Any]] = []
        stream = io.StringIO()
        with redirect_stdout(stream):
            # The display formatter is what makes a result into what a notebook shows.
            result = shell.run_cell("".join(cell["source"]), silent=False, store_history=False)
        result.raise_error()
        if result.result is not None:
            data, metadata = shell.display_formatter.format(result.result)
            shown.append(
                {"data": data, "execution_count": number, "metadata": metadata, "output_type": "execute_result"}
            )
        text = stream.getvalue().partition("Out[")[0].rstrip()
        if text:
            shown.insert(0, {"name": "stdout", "output_type": "stream", "text": text + "\n"})
        found.append(shown)
    return found


def texts(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outputs with the beginnings of pages and pictures only, which tests of their own compare."""
    return [
        {**each, "data": {kind: value if kind == "text/plain" else value[:8] for kind, value in each["data"].items()}}
        if "data" in each
        else each
        for each in shown
    ]


def test_the_notebook_shows_what_its_cells_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("LANGUAGE", "en")
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    outputs = executed(cells)
    if os.environ.get("LABKIT_WRITE_NOTEBOOK"):
        for number, (cell, shown) in enumerate(zip(cells, outputs, strict=True), 1):
            cell.update(outputs=shown, execution_count=number)
        NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")
    assert [texts(cell["outputs"]) for cell in cells] == list(map(texts, outputs))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))


def test_text_always_stands_first() -> None:
    from labkit import Scenario, verify

    trace = Scenario.load("document").play(seed=1)
    verdict = verify(trace.edit(6, ack=+1))
    for value, kind, word in (
        (trace, "image/svg+xml", "<svg"),
        (verdict, "text/html", "<iframe"),
        (verdict.findings[0], "text/html", "<b>error ACK01"),
    ):
        data, _metadata = ipython.InteractiveShell.instance().display_formatter.format(value)
        assert list(data) == ["text/plain", kind]
        assert data[kind].startswith(word)
    page = unescape(verdict._repr_mimebundle_()["text/html"].partition('srcdoc="')[2])
    assert "ack 121 acknowledges bytes that the peer has not sent" in page
    assert page.count("<figure>") == 1, "the picture of a capture in memory"
