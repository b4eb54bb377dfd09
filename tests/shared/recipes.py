"""Recipes that take a moment."""

RECIPE = {
    "engine": 1,
    "data": "tiny",
    "model": {"name": "vgg9", "width": 0.0625, "dropout": 0.0, "smallest_side": 2},
    "initialisation": {"variance": 1.0},
    "optimizer": {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4},
    "schedule": {"name": "step", "lr": 0.02, "factor": 0.2, "milestones": [2]},
    "batch_size": 16,
    "samples_per_epoch": 40,
    "epochs": 4,
    "augment": True,
    "image_sides": None,
    "evaluate_every": 1,
    "seed": 1,
    "freeze": None,
    "distillation": None,
    "fallback": None,
}

CURVE = {
    "form": "polygonal",
    "bends": 1,
    "epochs": 4,
    "save": [2, 4],
    "batch_size": 16,
    "samples_per_epoch": 40,
    "optimizer": {"momentum": 0.9, "weight_decay": 5e-4},
    "schedule": {"name": "hold_then_linear", "lr": 0.015},
    "augment": True,
    "points": 3,
    "images": None,
    "seed": 1,
}

TRANSLATION = {
    "engine": 1,
    "task": "translation",
    "data": "said",
    "model": {"name": "transformer", "encoder_layers": 1, "decoder_layers": 1, "width": 32, "heads": 2, "ffn": 64,
              "dropout": 0.0},
    "optimizer": {"name": "radam", "weight_decay": 1e-4},
    "schedule": {"name": "linear", "lr": 0.01},
    "clip": 25,
    "batch_tokens": 200,
    "updates_per_epoch": 6,
    "epochs": 4,
    "evaluate_every": 1,
    "label_smoothing": 0.1,
    "cutoff": False,
    "seed": 1,
    "pretrained": None,
    "freeze": None,
    "distillation": None,
    "fallback": None,
}  # fmt: skip
BERT = {
    "engine": 1,
    "model": {"name": "bert", "layers": 1, "width": 32, "heads": 2, "ffn": 64, "longest": 64, "dropout": 0.1,
              "attention_dropout": 0.1},
    "schedule": {"name": "linear", "lr": 0.003},
    "clip": 1.0,
    "updates_per_epoch": 4,
    "epochs": 3,
    "evaluate_every": 3,
    "pretrained": None,
    "seed": 1,
    "freeze": None,
    "distillation": None,
    "fallback": None,
}  # fmt: skip
MASKED_LM = {
    **BERT,
    "task": "masked_lm",
    "data": "grammar_documents",
    "optimizer": {"name": "lamb", "weight_decay": 0.01, "decay_biases_and_norms": False},
    "batch_size": 15,
    "lengths": [[2, 24], [1, 48]],
}
ANSWERING = {
    **BERT,
    "task": "question_answering",
    "data": "grammar_questions",
    "optimizer": {"name": "adamw"},
    "batch_size": 15,
    "length": 48,
    "stride": 16,
}
WITHOUT_DROPOUT = {**BERT["model"], "dropout": 0.0, "attention_dropout": 0.0}


def small_recipe(**own):
    """A training of three updates an epoch, in everything else as `own` says; its rate falls while it lasts."""
    recipe = {**RECIPE, **own}
    if "schedule" not in own and isinstance(recipe["epochs"], int):
        reached = [epoch for epoch in RECIPE["schedule"]["milestones"] if epoch < recipe["epochs"]]
        recipe["schedule"] = {**RECIPE["schedule"], "milestones": reached}
    return recipe


class Kept:
    """An observer of a training that keeps the checkpoints in memory and takes no snapshots."""

    def __init__(self):
        self.states = {}

    def save(self, label, state):
        self.states[label] = {name: tensor.clone() for name, tensor in state.items()}

    def epoch_ended(self, progress):
        pass

    def snapshot_is_due(self):
        return False
