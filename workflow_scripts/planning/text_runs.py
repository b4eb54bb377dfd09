"""From declarations of trainings on text to recipes: what a run of each task says, at the chosen scale.

A training on text says itself how many updates an epoch has, `updates_per_epoch`: batches are cut by tokens, so their
number would be known only once the text is prepared. An epoch is the next so many batches of a stream of permutations
of all batches, as it is the next `samples_per_epoch` images of a stream of permutations of all images.
"""

from typing import TYPE_CHECKING

from workflow_scripts.datasets.registry import TO_BE_NAMED
from workflow_scripts.planning.run import Checkpoint, Described
from workflow_scripts.planning.scaling import in_epochs
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
    pretrained, stand_in, begins_with = _pretrained(resolver, declared.get("pretrained"), where)
    data = stand_in.get("data", {}).get(declared["data"]) or scale.data(declared["data"])
    for name in (declared["data"], data):
        if getattr(scale.info(name), "form", None) != FORMS[task]:
            resolver.problems.append(f"{where}: data is {name!r}, which is no {FORMS[task]}, as {task} needs them")
    model, model_factor = resolver.model(declared["model"], where)
    factor = schedules.product(model_factor, scale.rate_factor(experiment))
    paper_steps = declared["updates_per_epoch"]
    recipe = kind(
        **scale.own_text(experiment, settings) | {"pretrained": pretrained},
        data=data,
        model=begins_with.run.recipe["model"] if begins_with else model,
        optimizer=declared["optimizer"],
        schedule=in_epochs(schedules.scaled(declared["schedule"], factor), paper_steps),
        epochs=declared["epochs"],
        evaluate_every=scale.evaluate_every(experiment, declared["evaluate_every"]),
        seed=declared["seed"],
    )
    return Described(recipe, paper_steps, factor, begins_with)


def _pretrained(
    resolver: "RunResolver", declared: str | None, where: str
) -> tuple[dict | None, dict, Checkpoint | None]:
    """What a run begins with: {run, at, model}, {folder} or nothing; what stands in for a folder at this scale; and the
    checkpoint of that run.

    Parameters
    ----------
    declared : "run@epoch-n", or the name of a checkpoint in config.yaml's data.sources.
    """
    if declared is None:
        return None, {}, None
    stand_in = {} if "@" in declared else resolver.scale.stand_in(declared)
    reference = declared if "@" in declared else stand_in.get("run")
    if reference is None:
        if declared not in (TO_BE_NAMED | resolver.scale.checkpoints):
            resolver.problems.append(
                f"{where}: pretrained is {declared!r}, which is neither a run@epoch-n nor the folder of a BERT "
                "checkpoint that config.yaml names in data.sources"
            )
        return {"folder": declared}, {}, None
    found = resolver.checkpoint(reference, f"{where}: pretrained")
    if found is None:
        return None, stand_in, None
    return found.source(), stand_in, found
