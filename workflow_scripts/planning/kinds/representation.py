"""Similarities of the layers of two checkpoints, and embeddings of checkpoints and bends."""

from typing import TYPE_CHECKING

from workflow_scripts.planning.analysis import Analysis, distinct

if TYPE_CHECKING:
    from workflow_scripts.planning.analyses import AnalysisResolver


def similarity(resolver: "AnalysisResolver", name: str, settings: dict, where: str) -> Analysis | None:
    ends = resolver.endpoints(settings, ("first", "second"), where)
    if ends is None:
        return None
    (first, one), (second, other) = ends
    data = first.recipe["data"]
    known = resolver.scale.info(data).train
    images = known if settings["images"] is None else min(settings["images"], known)
    models = {"first": first.recipe["model"], "second": second.recipe["model"]}
    recipe = {
        **settings,
        "data": data,
        "images": images,
        "first": one,
        "second": other,
        "models": models,
    }
    return Analysis("similarity", recipe, f"{resolver.paper.name}/{name}", distinct([first, second]), [])


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
    runs = distinct([run for curve in curves for run in curve.runs])
    return Analysis("embedding", recipe, f"{resolver.paper.name}/{name}", runs, curves)
