"""What was really trained, where that is not what a paper's labels say: at small scales nearly everything."""

from collections.abc import Iterable, Mapping
from typing import Any

from workflow_scripts.evidence.sources import Sources


def differences(sources: Sources) -> str:
    """A sentence on the data, networks, batches, rates and trials behind an artifact; empty where they are the paper's.

    What was trained is read from the runs' own tables. `sources.runs` has of each run {"table", "setting", "declared"}:
    where its metrics are, which setting it is a trial of, and what the paper says of it (data, model, batch_size or
    batch_tokens, schedule, pretrained where it is a checkpoint that is not trained here, and trials, as many as the
    artifact shows of the setting).
    """
    pairs: dict[str, dict[tuple[str, str], None]] = {"": {}, "batch": {}, "rate": {}}
    trials: dict[str, list[str]] = {}
    for run, described in sources.runs.items():
        recipe, declared = sources.origin(run).get("recipe"), described["declared"]
        if recipe is None:
            continue
        trials.setdefault(described["setting"], []).append(run)
        pairs[""][recipe["data"], declared["data"]] = None
        pairs[""][_network(recipe["model"]), _network(declared["model"])] = None
        if "pretrained" in declared:
            pairs[""][_begun(recipe), declared["pretrained"]] = None
        pairs["batch"][_batch(recipe), _batch(declared)] = None
        pairs["rate"][_rate(recipe["schedule"]), _rate(declared["schedule"])] = None
    parts = [f"{what} {shown}".strip() for what, found in pairs.items() for shown in _for(found)]
    counts: dict[int, list[int]] = {}
    for runs in trials.values():
        counts.setdefault(sources.runs[runs[0]]["declared"]["trials"], []).append(len(runs))
    parts += [f"{_range(ours)} of {paper} trials" for paper, ours in sorted(counts.items()) if min(ours) < paper]
    return f"Trained here: {'; '.join(parts)}." if parts else ""


def _range(numbers: list[int]) -> str:
    """ "8 to 10", or the one number that there is."""
    return " to ".join(str(number) for number in sorted({min(numbers), max(numbers)}))


def _for(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """ "16 for 100", of what differs; several of a kind share a line."""
    different = [f"{ours} for {paper}" for ours, paper in pairs if ours != paper]
    return [", ".join(different)] if different else []


def _batch(settings: Mapping[str, Any]) -> str:
    """The size of a batch, of text in tokens where they are given."""
    return f"{settings['batch_tokens']:,} tokens" if "batch_tokens" in settings else f"{settings['batch_size']:,}"


def _rate(schedule: Mapping[str, Any]) -> str:
    """The highest learning rate of a schedule; of a custom one that has no `lr`, its name."""
    parts = [_rate(part) for _, part in schedule.get("phases", [])]
    rates = [float(part) for part in parts] + [rate for _, rate in schedule.get("rates", [])] or [
        schedule[key] for key in ("lr", "lr_max") if key in schedule
    ]
    return f"{max(rates):g}" if rates else schedule["name"]


def _begun(recipe: Mapping[str, Any]) -> str:
    """What a training began with."""
    pretrained = recipe["pretrained"]
    return "a pre-training of our own" if "run" in pretrained else pretrained["folder"]


def _network(model: Mapping[str, Any]) -> str:
    """A network by its name and, where it is not the whole one, its width."""
    width = model.get("width", 1)
    return model["name"] + (f" of width {width:g}" if width != 1 else "")
