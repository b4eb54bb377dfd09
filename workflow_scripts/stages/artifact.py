"""Draw a figure or a table of a paper: run its notebook on tidy tables and keep what it makes.

    python -m workflow_scripts.stages.artifact --spec spec.json --template notebooks/figure.ipynb --out-dir figure_1

The directory then holds notebook.ipynb (it can be run again there), notebook.html (it opens without a network) and, for
a figure, figure.svg, figure.png and values.csv, or, for a table, table.html, table.csv, table.tex and table.md. The
specification is described in workflow_scripts/plotting/spec.py.
"""

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import whole_file
from workflow_scripts.base.stage import command_line, run_stage
from workflow_scripts.plotting.spec import read_spec

PACKAGE = Path(__file__).parents[1]
FIGURE_FILES = ("figure.svg", "figure.png", "values.csv")
TABLE_FILES = ("table.html", "table.csv", "table.tex", "table.md")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def main() -> None:
    """Read the arguments, draw the artifact in a temporary place, and copy it out whole."""
    parser = command_line("stages.artifact", __doc__)
    parser.add_argument("--spec", required=True, help="description of the figure or table: JSON, or a .json file")
    parser.add_argument("--template", type=Path, required=True, help="notebook that draws it")
    parser.add_argument("--out-dir", type=Path, required=True, help="directory for the notebook and what it makes")
    parser.add_argument("--root", type=Path, default=Path(), help="where the paths of tables start (default: here)")
    arguments = parser.parse_args()
    spec = read_spec(arguments.spec)
    expected = (*(TABLE_FILES if "table" in spec else FIGURE_FILES), "spec.json", "notebook.ipynb", "notebook.html")
    with tempfile.TemporaryDirectory(prefix="artifact-") as place:
        (Path(place) / "spec.json").write_text(json.dumps(spec, indent=1, ensure_ascii=False), encoding="utf-8")
        execute(arguments.template, {"spec": "spec.json", "root": str(arguments.root.resolve())}, Path(place))
        from workflow_scripts.runtime.page import as_page  # costs as much as what is before: nothing where that fails

        page = as_page(Path(place) / "notebook.ipynb", f"{spec['number']}: {spec['title']}")
        (Path(place) / "notebook.html").write_text(page, encoding="utf-8")
        if missing := [name for name in expected if not (Path(place) / name).exists()]:
            raise InputError(
                f"{arguments.template} made no {', '.join(missing)} of {spec['id']}: "
                "give notebooks/figure.ipynb for a figure and notebooks/table.ipynb for a table"
            )
        for name in expected:
            with whole_file(arguments.out_dir / name) as temporary:
                shutil.copyfile(Path(place) / name, temporary)


def execute(template: Path, parameters: dict[str, str], place: Path) -> None:
    """Run a notebook in the folder `place`, which then holds its executed copy, notebook.ipynb.

    Raises InputError with the notebook's own sentence if it raised one, else with the cell and the exception; the
    traceback of the cell then goes to stderr.
    """
    if not template.is_file():
        raise InputError(f"there is no notebook {template}: give a template such as notebooks/figure.ipynb")
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError, execute_notebook

    from workflow_scripts.runtime.notebook import SocketKernelManager

    # The notebook sees this package, and nobody's own IPython profile.
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))}
    environment["IPYTHONDIR"] = str(place / ".ipython")
    os.environ.update(environment)
    try:
        execute_notebook(
            template.resolve(), place / "notebook.ipynb", parameters, kernel_name="python3", cwd=place,
            progress_bar=False, request_save_on_cell_execute=False, kernel_manager_class=SocketKernelManager,
            shutdown_kernel="immediate",  # all is in the notebook, and a graceful end sometimes fails inside ZeroMQ
        )  # fmt: skip
    except PapermillExecutionError as error:
        if error.ename == "InputError":
            raise InputError(error.evalue) from None
        print(ANSI.sub("", "\n".join(error.traceback)), file=sys.stderr)
        # Counted from 1 in the template: the executed copy has one more cell before, with the parameters.
        sentence = f"{template}, cell {error.cell_index}, failed with {error.ename}: {error.evalue}"
        raise InputError(f"{sentence}; its traceback is above") from None
    except DeadKernelError:
        raise InputError(f"{template} lost its Python process: it was killed, most likely for want of memory") from None


if __name__ == "__main__":
    run_stage(main)
