"""From declarations of trainings on text to recipes: what a run of each task says, at the chosen scale.

A training on text says itself how many updates an epoch has, `updates_per_epoch`: batches are cut by tokens, so their
number would be known only once the text is prepared. An epoch is the next so many batches of a stream of permutations
of all batches, as it is the next `samples_per_epoch` images of a stream of permutations of all images.
"""

from typing import TYPE_CHECKING, NamedTuple

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.registry import TO_BE_NAMED
from workflow_scripts.models import names as model_names
from workflow_scripts.models.language.bert_config import read_config
from workflow_scripts.planning.run import Checkpoint, Described
from workflow_scripts.planning.scaling import Scale, in_epochs
from workflow_scripts.recipes import schedules
from workflow_scripts.recipes.recipe import MISSING, keys, kind_of, own

if TYPE_CHECKING:
    from workflow_scripts.planning.runs import RunResolver

FORMS = {"translation": "parallel", "masked_lm": "documents", "question_answering": "questions"}
BEGUN = ("masked_lm", "question_answering")  # tasks that may begin with a checkpoint: `pretrained`
OF_IMAGES = ("initialisation", "augment", "batch_size")  # of a paper's defaults, which a run on text has no use for
NOT_DECLARED = ("engine", "freeze", "distillation", "fallback")  # keys of all recipes that a run on text does not state


def text_run(resolver: "RunResolver", experiment: str, declared: dict, where: str) -> Described | None:
    """A run on text; None, and problems, where a key of its task is missing or one is not of it.

    Parameters
    ----------
    resolver : collects problems. experiment : paper/name. declared : with the paper's and the experiment's defaults.
    """
    scale, task = resolver.scale, declared["task"]
    kind = kind_of(task)
    settings = {key: declared.get(key, default) for key, default in own(kind).items()}
    not_declared = NOT_DECLARED if task in BEGUN else (*NOT_DECLARED, "pretrained")
    allowed = [key for key in keys(kind) if key not in not_declared] + ["trials"]
    missing = [key for key, value in settings.items() if value is MISSING]
    unknown = [key for key in declared if key not in (*allowed, *OF_IMAGES)]
    if missing or unknown:
        resolver.problems += [f"{where}: {key} is missing; a run of the task {task} needs it" for key in missing]
        listed = ", ".join(allowed)
        resolver.problems += [f"{where}: {key} is not of the task {task}; allowed are {listed}" for key in unknown]
        return None
    begins = _beginning(resolver, experiment, declared, where)
    data = scale.data(declared["data"], begins.experiment)
    for name in (declared["data"], data):
        if getattr(scale.info(name), "form", None) != FORMS[task]:
            resolver.problems.append(
                f"{where}: data is {name!r}, which is not of the form {FORMS[task]} that {task} needs"
            )
    if begins.pieces and begins.pieces != _pieces(scale, data):
        resolver.problems.append(
            f"{where}: data is {data!r}, in word pieces of {_pieces(scale, data)}, but what it begins with knows those "
            f"of {begins.pieces}; let both have the same"
        )
    model, model_factor = resolver.model(declared["model"], where)
    factor = schedules.product(model_factor, scale.rate_factor(begins.experiment))
    paper_steps = declared["updates_per_epoch"]
    recipe = kind(
        **scale.own_text(begins.experiment, settings) | {"pretrained": begins.pretrained},
        data=data,
        model=begins.model or model,
        optimizer=declared["optimizer"],
        schedule=in_epochs(schedules.scaled(declared["schedule"], factor), paper_steps),
        epochs=declared["epochs"],
        evaluate_every=scale.evaluate_every(begins.experiment, declared["evaluate_every"]),
        seed=declared["seed"],
    )
    return Described(recipe, paper_steps, factor, begins.checkpoint)


class Beginning(NamedTuple):
    """What a run begins with.

    pretrained : as its recipe says it, {run, at, model}, {folder} or None. checkpoint : of that run.
    experiment : the one whose settings at this scale the run takes. model : that which the checkpoint has, where it is
    known. pieces : the data set or checkpoint whose word pieces it knows; "" where it begins with nothing.
    """

    experiment: str
    pretrained: dict | None = None
    checkpoint: Checkpoint | None = None
    model: dict | None = None
    pieces: str = ""


def _beginning(resolver: "RunResolver", experiment: str, declared: dict, where: str) -> Beginning:
    """What `pretrained` of a run means: "run@epoch-n", or the name of a checkpoint in config.yaml's data.sources."""
    scale, named = resolver.scale, declared.get("pretrained")
    if named is None:
        return Beginning(experiment)
    stand_in = {} if "@" in named else scale.stand_in(named)
    if "@" not in named and not stand_in:
        return _folder(resolver, experiment, declared, where)
    experiment = stand_in.get("experiment", experiment)
    found = resolver.checkpoint(stand_in.get("run", named), f"{where}: pretrained")
    if found is None:
        return Beginning(experiment)
    recipe = found.run.recipe
    return Beginning(experiment, found.source(), found, recipe["model"], _pieces(scale, recipe["data"]))


def _folder(resolver: "RunResolver", experiment: str, declared: dict, where: str) -> Beginning:
    """A BERT folder: at a scale that makes networks smaller the network is the folder's, else that of the paper."""
    scale, name = resolver.scale, declared["pretrained"]
    if name not in (TO_BE_NAMED | scale.checkpoints.keys()):
        resolver.problems.append(
            f"{where}: pretrained is {name!r}, which is neither a run@epoch-n nor the folder of a BERT checkpoint that "
            "config.yaml names in data.sources"
        )
    begins = Beginning(experiment, {"folder": name}, pieces=name)
    if name not in scale.checkpoints:
        return begins
    try:
        theirs = model_names.check({"name": "bert", **read_config(scale.checkpoints[name]).options})
        papers = model_names.check(model_names.as_spec(declared["model"]))
    except InputError as error:
        resolver.problems.append(f"config.yaml: data.sources.{name}: {error}")
        return begins
    if theirs != papers and scale.model(papers, resolver.paper.name)[0] == papers:
        other = ", ".join(f"{key} {value}, not {papers[key]}" for key, value in theirs.items() if value != papers[key])
        resolver.problems.append(
            f"config.yaml: data.sources.{name} is another network than the paper's that {where} begins with: {other}"
        )
    return begins._replace(model=theirs)


def _pieces(scale: Scale, data: str) -> str:
    """The data set or checkpoint whose word pieces a text has."""
    return getattr(scale.info(data), "vocabulary", "") or data
