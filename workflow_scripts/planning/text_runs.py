"""From declarations of trainings on text to recipes: what a run of each task says, at the chosen scale.

A training on text says itself how many updates an epoch has, `updates_per_epoch`: batches are cut by tokens, so their
number would be known only once the text is prepared. An epoch is the next so many batches of a stream of permutations
of all batches, as it is the next `samples_per_epoch` images of a stream of permutations of all images.
"""

from typing import TYPE_CHECKING

from workflow_scripts.datasets.registry import TO_BE_NAMED
from workflow_scripts.planning.scaling import in_epochs
from workflow_scripts.recipes import engine, schedules

if TYPE_CHECKING:
    from workflow_scripts.planning.runs import RunResolver

# What each task needs besides what all runs have, with None where it must be declared; and the form of its data.
KEYS: dict[str, dict] = {
    "translation": {"updates_per_epoch": None, "batch_tokens": None, "label_smoothing": 0.0, "cutoff": False},
    "masked_lm": {"updates_per_epoch": None, "batch_size": None, "lengths": None},
    "question_answering": {"updates_per_epoch": None, "batch_size": None, "length": 384, "stride": 128},
}
FORMS = {"translation": "parallel", "masked_lm": "documents", "question_answering": "questions"}
ALL = (
    "task",
    "data",
    "model",
    "optimizer",
    "schedule",
    "epochs",
    "evaluate_every",
    "seed",
    "trials",
    "clip",
)
BEGUN = ("masked_lm", "question_answering")  # tasks that may begin with a checkpoint: `pretrained`
OF_IMAGES = ("initialisation", "augment", "batch_size")  # of a paper's defaults, which a run on text has no use for


def text_recipe(resolver: "RunResolver", experiment: str, declared: dict, where: str) -> tuple[dict, int, float]:
    """The recipe of a run on text, the updates in the paper's epoch, and the factor of its learning rates.

    Parameters
    ----------
    resolver : collects problems. experiment : paper/name. declared : with the paper's and the experiment's defaults.
    """
    scale, task = resolver.scale, declared["task"]
    own = {key: declared[key] if default is None else declared.get(key, default) for key, default in KEYS[task].items()
           if default is not None or key in declared}  # fmt: skip
    keys = (*ALL, *KEYS[task], *["pretrained"] * (task in BEGUN))
    missing = [key for key in KEYS[task] if key not in own]
    unknown = [key for key in declared if key not in (*keys, *OF_IMAGES)]
    if missing or unknown:
        resolver.problems += [f"{where}: {key} is missing; a run of the task {task} needs it" for key in missing]
        allowed = ", ".join(keys)
        resolver.problems += [f"{where}: {key} is not of the task {task}; allowed are {allowed}" for key in unknown]
        return {}, 0, 1.0
    pretrained, stand_in = _pretrained(resolver, declared.get("pretrained"), where)
    data = stand_in.get("data", {}).get(declared["data"]) or scale.data(declared["data"])
    for name in (declared["data"], data):
        if getattr(scale.info(name), "form", None) != FORMS[task]:
            resolver.problems.append(f"{where}: data is {name!r}, which is no {FORMS[task]}, as {task} needs them")
    model, model_factor = resolver.model(declared["model"], where)
    if pretrained and "run" in pretrained:
        model = pretrained["model"]
    factor = schedules.product(model_factor, scale.rate_factor(experiment))
    paper_steps = declared["updates_per_epoch"]
    schedule = in_epochs(schedules.scaled(declared["schedule"], factor), paper_steps)
    resolver.problems += [f"{where}: schedule {problem}" for problem in schedules.check(schedule, declared["epochs"])]
    if "lengths" in own and (total := sum(epochs for epochs, _ in own["lengths"])) != declared["epochs"]:
        resolver.problems.append(f"{where}: lengths has {total} epochs, but the run has {declared['epochs']}")
    resolver.check_optimizer(declared["optimizer"], where)
    recipe = {
        "engine": engine.TRAINING,
        "task": task,
        "data": data,
        "model": model,
        "optimizer": declared["optimizer"],
        "schedule": schedule,
        "clip": declared.get("clip"),
        **scale.own_text(experiment, own),
        "epochs": declared["epochs"],
        "evaluate_every": scale.evaluate_every(experiment, declared["evaluate_every"]),
        "pretrained": pretrained,
        # What the engine asks of every recipe.
        "freeze": None,
        "distillation": None,
        "fallback": None,
    }
    return recipe, paper_steps, factor


def _pretrained(resolver: "RunResolver", declared: str | None, where: str) -> tuple[dict | None, dict]:
    """What a run begins with: {run, at, model}, {folder} or nothing; and what stands in for a folder at this scale.

    Parameters
    ----------
    declared : "run@epoch-n", or the name of a checkpoint in config.yaml's data.sources.
    """
    if declared is None:
        return None, {}
    stand_in = {} if "@" in declared else resolver.scale.stand_in(declared)
    reference = declared if "@" in declared else stand_in.get("run")
    if reference is None:
        if declared not in (TO_BE_NAMED | resolver.scale.checkpoints):
            resolver.problems.append(
                f"{where}: pretrained is {declared!r}, which is neither a run@epoch-n nor the folder of a BERT "
                "checkpoint that config.yaml names in data.sources"
            )
        return {"folder": declared}, {}
    found = resolver.checkpoint(reference, f"{where}: pretrained")
    if found is None:
        return None, stand_in
    run, label = found
    return {"run": run.id, "at": label, "model": run.recipe["model"]}, stand_in
