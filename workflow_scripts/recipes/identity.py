"""What work in the store is known by: all that its numbers rest on, and nothing else."""

EVALUATION = ("points", "images")  # what of a curve's recipe its training does not depend on


def curve_training(recipe: dict, ends: list[str], images: dict[str, str]) -> dict:
    """A curve's training is known by what trains it, so that another grid of points evaluates it anew and no more.

    Parameters
    ----------
    ends : SHA-256 of the two checkpoints. images : SHA-256 of the data set's arrays.
    """
    trained = {key: value for key, value in recipe.items() if key not in (*EVALUATION, "start", "end")}
    return trained | {"ends": ends, "images of": images}


def measurement(kind: str, recipe: dict, checkpoint: str) -> dict:
    """A measurement of a minimum is known by its settings and by the contents of the checkpoint that it is of.

    Parameters
    ----------
    kind : "sharpness" or "fisher". checkpoint : its SHA-256.
    """
    settings = {key: value for key, value in recipe.items() if key != "runs"}
    return {"kind": kind, "recipe": settings, "checkpoint": checkpoint}
