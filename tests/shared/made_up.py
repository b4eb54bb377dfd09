"""Tidy tables of all that a plan's artifacts are drawn from, with made-up numbers: pictures without training."""

import numpy as np
import pandas as pd

from workflow_scripts.evidence.tables import KINDS, write_table

VGG_11 = [*["conv", "BN", "ReLU"] * 8, "drop", "FC", "ReLU", "drop", "FC", "ReLU", "FC"]


def make_up(plan):
    """Write every table that an artifact of the plan names, in the folder of results that the plan has."""
    artifacts = plan.artifacts.values()
    runs = {run.id: run for artifact in artifacts for run in artifact.runs}
    analyses = {analysis.id: analysis for artifact in artifacts for analysis in artifact.analyses}
    runs |= {run.id: run for analysis in analyses.values() for run in analysis.runs}
    for run in runs.values():
        _write(plan.paths.metrics(run.id), "metrics", _metrics(run), run.recipe, [run.recipe["seed"]], run.id)
    for analysis in analyses.values():
        for key, path in plan.paths.tables(analysis.kind, analysis.id).items():
            kind = {"table": {"curve": "path"}.get(analysis.kind, analysis.kind), "points": "plane_points"}[key]
            _write(path, kind, MAKERS[kind](analysis), analysis.recipe, [], analysis.id)


def _write(path, kind, rows, recipe, seeds, id):
    facts = {"scale": "demo", "device": "cpu", "seeds": seeds, "fingerprints": [id], "recipe": dict(recipe)}
    write_table(path, pd.DataFrame(rows, columns=list(KINDS[kind].columns)), kind, provenance=facts)


def _chance(id):
    return np.random.default_rng(int(id[:8], 16))


def _metrics(run):
    chance, rows = _chance(run.id), []
    for epoch in np.unique(np.linspace(1, run.recipe["epochs"], 20).astype(int)).tolist():
        step, done = epoch * run.steps_per_epoch, epoch / run.recipe["epochs"]
        noise = float(chance.normal())
        rows += [
            (run.id, step, float(epoch), "train", "loss", 2.3 * 0.1**done + 0.01 * abs(noise)),
            (run.id, step, float(epoch), "test", "loss", 2.4 * 0.2**done + 0.01 * abs(noise)),
            (run.id, step, float(epoch), "train", "accuracy", 100 - 90 * 0.01**done),
            (run.id, step, float(epoch), "test", "accuracy", 94.5 - 80 * 0.01**done + 0.3 * noise),
            (run.id, step, float(epoch), "test", "top5_accuracy", 99.5 - 40 * 0.01**done + 0.1 * noise),
            (run.id, step, float(epoch), "train", "learning_rate", 0.1 * (1.0 - done) + 1e-4),
        ]
        if "task" in run.recipe:
            loss = 5 * 0.3**done + 0.01 * abs(noise)
            rows.append((run.id, step, float(epoch), "train", "perplexity", np.exp(loss)))
            rows.append((run.id, step, float(epoch), "validation", "perplexity", np.exp(1.1 * loss)))
            rows.append((run.id, step, float(epoch), "validation", "loss", 1.1 * loss))
            rows.append((run.id, step, float(epoch), "test", "exact_match", 81 - 60 * 0.01**done + 0.1 * noise))
    return rows


def _path(analysis):
    rows, height = [], 1 + _chance(analysis.id).random()
    for path, epochs in (("segment", [0]), ("curve", analysis.recipe["save"])):
        for epoch in epochs:
            for point, t in enumerate(np.linspace(0, 1, 21)):
                bump = 4 * t * (1 - t) * height / (1 + epoch / 20)
                for split in ("train", "test"):
                    rows.append((path, epoch, point, t, 9 * t, split, "loss", 0.05 + bump))
                    rows.append((path, epoch, point, t, 9 * t, split, "accuracy", 95 - 40 * bump / height))
    return rows


def _plane(analysis):
    return [
        (x, y, split, "loss", 0.05 + (x - 4) ** 2 / 50 + y**2 / 9)
        for x in np.linspace(-1.5, 9, 12)
        for y in np.linspace(-1.5, 3.2, 9)
        for split in ("train", "test")
    ]


def _points(analysis):
    start, end = (analysis.recipe[key]["at"].replace("epoch-", "w") for key in ("start", "end"))
    rows = [("vertex", start, int(start[1:]), 0.0, 0.0, 0.0), ("vertex", end, int(end[1:]), 7.5, 0.0, 0.0)]
    rows.append(("vertex", f"{start}-{end[1:]}", -1, 4.0, 1.7, 0.0))
    rows += [("iterate", f"w{n}", n, 0.05 * n - 3, 0.2, 1 + abs(n - 110) / 100) for n in range(1, 201)]
    return [(*row, method) for row in rows for method in ("affine", "linear")]


def _similarity(analysis):
    rows = []
    for a, one in enumerate(VGG_11):
        for b, other in enumerate(VGG_11):
            rows.append((a, one, b, other, 0.2 + 0.8 / (1 + abs(a - b)), 0.1, 3.0, 3.0, 1000))
    return rows


def _embedding(analysis):
    names = sorted({curve[end] for curve in analysis.recipe["curves"] for end in ("start", "end")})
    places = {name: (90 * np.cos(n), 90 * np.sin(n)) for n, name in enumerate(names)}
    rows = [(name, "mode", *place) for name, place in places.items()]
    for curve in analysis.recipe["curves"]:
        middle = np.mean([places[curve["start"]], places[curve["end"]]], axis=0)
        rows.append((curve["name"], "bend", *middle))
    return rows


def _sharpness(analysis):
    return [
        (end["run"], 100 * _chance(end["run"]).random(), 0.1, 0.2, 0.5, 10, "as declared")
        for end in analysis.recipe["runs"]
    ]


def _fisher(analysis):
    return [(end["run"], 100 * _chance(end["run"]).random(), 50, "yes", 1e-4) for end in analysis.recipe["runs"]]


def _range_test(analysis):
    rates = np.geomspace(1e-5, 4, 60)
    losses = 2.4 - np.exp(-((np.log10(rates) + 1.4) ** 2)) + 2 * (rates > 1)
    return [
        (n, rate, loss + 0.05, loss, 0.04, 0.004) for n, (rate, loss) in enumerate(zip(rates, losses, strict=True), 1)
    ]


def _translation(analysis):
    rows = analysis.recipe["runs"]
    return [(end["run"], 30 + 5 * _chance(end["run"]).random(), 1000, 0.99, "nrefs:1|tok:none") for end in rows]


def _answers(analysis):
    rows = analysis.recipe["runs"]
    chances = [_chance(end["run"]).random() for end in rows]
    return [(end["run"], 80 + chance, 88 + chance, 1000) for end, chance in zip(rows, chances, strict=True)]


MAKERS = {
    "path": _path, "plane": _plane, "plane_points": _points, "similarity": _similarity, "embedding": _embedding,
    "sharpness": _sharpness, "fisher": _fisher, "range_test": _range_test,
    "translation": _translation, "answers": _answers,
}  # fmt: skip
