"""From declarations of trainings on images to their recipes, at the chosen scale."""

from typing import TYPE_CHECKING

from workflow_scripts.planning.run import Checkpoint, Described
from workflow_scripts.planning.scaling import in_epochs
from workflow_scripts.recipes import schedules, steps
from workflow_scripts.recipes.recipe import ImageRecipe

if TYPE_CHECKING:
    from workflow_scripts.planning.runs import RunResolver


def image_run(resolver: "RunResolver", experiment: str, declared: dict, where: str) -> Described | None:
    """A run of classification or distillation; None, and problems, where its data are unknown.

    Parameters
    ----------
    resolver : collects problems. experiment : paper/name. declared : with the paper's and the experiment's defaults.
    """
    scale, data = resolver.scale, resolver.scale.data(declared["data"])
    paper_info, info = scale.info(declared["data"]), scale.info(data)
    for name, found in ((declared["data"], paper_info), (data, info)):
        if found is None:
            resolver.problems.append(
                f"{where}: data is {name!r}, which is neither built in nor named in config.yaml's data.sources"
            )
    if paper_info is None or info is None:
        return None
    model, rate_factor = resolver.model(declared["model"], where)
    batch = scale.batch_size(declared["batch_size"])
    samples = scale.samples_per_epoch(experiment, data, batch)
    if batch > info.train:
        resolver.problems.append(
            f"{where}: a batch of {batch} images is larger than the {info.train} training images of {data}"
        )
    paper_steps = steps.batches(paper_info.train, declared["batch_size"])
    distillation, teacher = _distillation(resolver, declared.get("distillation"), where)
    recipe = ImageRecipe(
        data=data,
        model=model,
        initialisation=declared["initialisation"],
        optimizer=declared["optimizer"],
        schedule=in_epochs(schedules.scaled(declared["schedule"], rate_factor), paper_steps),
        batch_size=batch,
        samples_per_epoch=samples,
        epochs=declared["epochs"],
        augment=declared["augment"],
        image_sides=_image_sides(declared.get("image_sides"), paper_info.image_size, info.image_size),
        evaluate_every=scale.evaluate_every(experiment, declared["evaluate_every"]),
        seed=declared["seed"],
        freeze=_freeze(declared.get("freeze"), paper_steps, steps.batches(samples, batch)),
        distillation=distillation,
        fallback=declared.get("fallback"),
    )
    return Described(recipe, paper_steps, rate_factor, teacher)


def _image_sides(phases: list[list[int]] | None, paper_side: int, side: int) -> list[list[int]] | None:
    """Phases [[epochs, side], ...] of the size of training images, in the pixels of the data set at this scale."""
    return phases and [[epochs, max(1, round(pixels / paper_side * side))] for epochs, pixels in phases]


def _freeze(declared: dict | None, paper_steps: int, own_steps: int) -> dict | None:
    return declared and {"part": declared["part"], "steps": round(declared["iterations"] / paper_steps * own_steps)}


def _distillation(resolver: "RunResolver", declared: dict | None, where: str) -> tuple[dict | None, Checkpoint | None]:
    """The settings of a distillation, and the teacher's checkpoint."""
    if declared is None:
        return None, None
    teacher = resolver.checkpoint(declared["teacher"], f"{where}: distillation.teacher")
    return {**declared, "teacher": teacher and teacher.source()}, teacher
