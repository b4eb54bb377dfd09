# What the rules share: the plan, and where things are.
#
# REQUIRED: config (see config.yaml), papers/, scales/. PROVIDES: PLAN, PATHS and the names below.

import sys

from snakemake.exceptions import WorkflowError

ROOT = Path(str(workflow.current_basedir)).parent  # also when another workflow uses this one as a module
sys.path.insert(0, str(ROOT))

from workflow_scripts.base.errors import InputError
from workflow_scripts.planning.plan import make_plan
from workflow_scripts.planning.titles import Titles
from workflow_scripts.recipes import places
from workflow_scripts.recipes.canonical import canonical, fingerprint

try:
    PLAN = make_plan(config, ROOT)
except InputError as error:
    raise WorkflowError(str(error)) from None

CONFIG = PLAN.config  # what users changed, completed
PATHS = PLAN.paths
TITLES = Titles(PLAN.runs, PLAN.analyses)
# Snakemake fills in messages with the names of its own module, where a workflow's names are unless it is imported as one.
vars(sys.modules["snakemake.workflow"]).setdefault("TITLES", TITLES)
SCALE = PLAN.scale.name
LOGS = PATHS.results / "logs"
ENVIRONMENT = str(ROOT / "envs" / "environment.yaml")


wildcard_constraints:
    id="[0-9a-f]{12}",


def checkpoint(end: dict) -> str:
    """The file of {run, at}."""
    return str(places.checkpoint(PATHS.run(end["run"]), end["at"]))


def artifact_file(artifact) -> str:
    """The picture or table of an artifact, which stands for all its files."""
    file = "figure.png" if artifact.template == "figure" else "table.html"
    return str(PATHS.artifact(SCALE, artifact.spec["paper"], artifact.name) / file)


# What rests on data that somebody would have to name first: the site and the verdicts do without it, and say so.
NOT_NAMED = PLAN.not_named()


def can_be_had(of) -> bool:
    """Whether an artifact or a claim rests on nothing but data that can be had."""
    data = {run.recipe["data"] for run in of.runs} | {analysis.data for analysis in of.analyses}
    return PATHS.archived or not data & NOT_NAMED


# A sensitivity is drawn when it is asked for by name.
EVERYTHING = [artifact_file(artifact) for artifact in PLAN.artifacts.values() if not artifact.sensitivity]
OBTAINABLE = [
    artifact_file(artifact) for artifact in PLAN.artifacts.values() if not artifact.sensitivity and can_be_had(artifact)
]

# What commands that plan for themselves need to know of the configuration: how jobs compute is no concern of theirs.
PLANNED_BY = {key: CONFIG[key] for key in ("scale", "papers", "results", "source", "data") if key in CONFIG}
CONFIGURATION = [f"{key}={canonical(value)}" for key, value in PLANNED_BY.items()]
