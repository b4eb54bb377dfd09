"""Similarities of the layers of two checkpoints, and embeddings of checkpoints and bends."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workflow_scripts.planning.analysis import Analysis
from workflow_scripts.planning.kinds.kind import Cost, Counts

if TYPE_CHECKING:
    from workflow_scripts.planning.analyses import AnalysisResolver


def similarity(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    ends = resolver.endpoints(settings, ("first", "second"), where)
    if ends is None:
        return None
    first, second = (checkpoint.run for checkpoint in ends)
    data = first.recipe["data"]
    known = resolver.scale.info(data).train
    images = known if settings["images"] is None else min(settings["images"], known)
    models = {"first": first.recipe["model"], "second": second.recipe["model"]}
    recipe = {
        **settings,
        "data": data,
        "images": images,
        "first": ends[0].end(),
        "second": ends[1].end(),
        "models": models,
    }
    return Analysis("similarity", recipe, f"{resolver.paper.name}/{name}", tuple(ends))


def similarity_operations(recipe: Mapping[str, Any], counts: Counts) -> Cost:
    """A forward pass of both networks; the decompositions of SVCCA are not counted."""
    return Cost(recipe["images"] * sum(counts.forward_of(model) for model in recipe["models"].values()))


def embedding(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    curves = [resolver.find("curve", curve, where) for curve in settings["curves"]]
    if None in curves or not resolver.alike([curve.recipe for curve in curves], where):
        return None
    ends = {}
    for curve in curves:
        for end in (curve.recipe["start"], curve.recipe["end"]):
            ends[end["run"], end["at"]] = end
    recipe = {
        **settings,
        "data": curves[0].recipe["data"],
        "modes": list(ends.values()),
        "curves": [
            {
                "name": declared,
                "curve": curve.id,
                "start": curve.recipe["start"]["name"],
                "end": curve.recipe["end"]["name"],
            }
            for declared, curve in zip(settings["curves"], curves, strict=True)
        ],
    }
    checkpoints = tuple(checkpoint for curve in curves for checkpoint in curve.checkpoints)
    return Analysis("embedding", recipe, f"{resolver.paper.name}/{name}", checkpoints, tuple(curves))
