"""Executes the code cells of notebooks in order, as Jupyter would, and fails on the first error.
Usage: notebook.py RESULTS [NOTEBOOK ...]"""

import ast
import json
import os
import pathlib
import sys
import traceback

os.environ.setdefault("MPLBACKEND", "agg")  # nobody is looking


def run_cell(source, name, variables):
    """The value of a last expression is made into text, as Jupyter does to show it."""
    tree = ast.parse(source, filename=name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), variables)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), name, "eval"), variables)
        if value is not None:
            repr(value)


def run(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    stored = [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None]
    assert not stored, f"{notebook} stores outputs: clear them"
    variables = {"__name__": "__main__"}
    for number, cell in enumerate(code, start=1):
        try:
            run_cell("".join(cell["source"]), f"{notebook.name} cell {number}", variables)
        except Exception:
            traceback.print_exc()
            sys.exit(f"{notebook}: code cell {number} of {len(code)} failed")
    print(f"{notebook.name}: {len(code)} code cells")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    os.environ["PACELINE_RESULTS"] = str(pathlib.Path(sys.argv[1]).resolve())
    folder = pathlib.Path(__file__).resolve().parent.parent / "notebooks"
    notebooks = [pathlib.Path(name) for name in sys.argv[2:]] or sorted(folder.glob("*.ipynb"))
    for notebook in notebooks:
        run(notebook)


if __name__ == "__main__":
    main()
