"""Make the site: verdicts, every artifact, and the documentation, as pages that open from their files.

python -m workflow_scripts.stages.site --config scale=reduced source=archive --out results/reduced/site
"""

from pathlib import Path

from workflow_scripts.base.arguments import add_config, changes
from workflow_scripts.base.stage import command_line, run_stage
from workflow_scripts.planning.configuration import read_config
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.publishing.site import build

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Plan, write the pages, have Sphinx make the site."""
    parser = command_line("stages.site", __doc__)
    add_config(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for the site; what it holds is replaced")
    given = parser.parse_args()
    plan = make_plan(read_config(ROOT, changes(given), given.configfile), ROOT)
    if warnings := build(plan, ROOT, given.out):
        print(warnings)
    print(f"{given.out / 'index.html'} is the first page")


if __name__ == "__main__":
    run_stage(main)
