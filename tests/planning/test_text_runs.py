"""Trainings on text: recipes say all that the tasks need, scales change what an epoch costs, mistakes are reported."""

import json

import pytest

from workflow_scripts.recipes.schedules import rates

TRANSLATION = {
    "task": "translation",
    "data": "iwslt14_de_en",
    "model": {"name": "transformer", "heads": 4, "ffn": 1024, "dropout": 0.3},
    "optimizer": {"name": "radam", "weight_decay": 1e-4},
    "schedule": {"name": "knee", "lr": 3e-4, "explore": 30, "warmup": {"iterations": 1100}},
    "batch_tokens": 4096,
    "updates_per_epoch": 1100,
    "clip": 25,
    "epochs": 50,
    "trials": 3,
    "seed": 1,
}
PRETRAINING = {
    "task": "masked_lm",
    "data": "wikipedia",
    "model": {"name": "bert", "layers": 24},
    "optimizer": {"name": "lamb", "weight_decay": 0.01, "decay_biases_and_norms": False},
    "schedule": {
        "name": "phases",
        "phases": [
            [45, {"name": "knee", "lr": 4e-3, "explore": 22.5, "warmup": {"epochs": 4.5}}],
            [5, {"name": "knee", "lr": 4e-3, "explore": 2.5, "warmup": {"epochs": 0.5}}],
        ],
    },
    "batch_size": 16384,
    "updates_per_epoch": 625,
    "lengths": [[45, 128], [5, 512]],
    "epochs": 50,
    "seed": 2,
}
ANSWERING = {
    "task": "question_answering",
    "data": "squad",
    "model": "bert",
    "optimizer": {"name": "adamw"},
    "schedule": {"name": "linear", "lr": 3e-5},
    "batch_size": 12,
    "updates_per_epoch": 7387,
    "pretrained": "bert_base",
    "epochs": 2,
    "seed": 3,
}


@pytest.fixture
def text(declared):
    """Declarations with an experiment on text, and a scale that makes it small."""
    runs = {"translated": TRANSLATION, "pretrained": PRETRAINING, "answered": ANSWERING}
    runs["tuned"] = {**ANSWERING, "pretrained": "pretrained@epoch-50"}
    with declared.document("runs") as document:
        document["experiments"]["text"] = {"about": "Text", "runs": runs}
    with declared.document("demo") as scale:
        scale["data"] |= {
            "iwslt14_de_en": "grammar_de_en",
            "wikipedia": "grammar_documents",
            "squad": "grammar_questions",
        }
        scale["models"]["bert"] = {"layers": 1, "width": 32, "rate_factor": 2}
        scale["experiments"]["gotmare2019/text"] = {"updates_per_epoch": 4, "batch_tokens": 400, "rate_factor": 10}
        scale["stand_ins"] = {"bert_base": {"run": "pretrained@epoch-50"}}
    return declared


def recipes(plan):
    return {name.partition("/")[2]: run for run in plan.runs.values() for name in run.names if run.recipe.get("task")}


def test_a_run_on_text_is_the_papers_at_the_papers_scale(text):
    runs = recipes(text.plan("paper"))
    assert set(runs) == {"translated/1", "translated/2", "translated/3", "pretrained", "answered", "tuned"}
    one = runs["translated/1"].recipe
    declared = {"data": "iwslt14_de_en", "batch_tokens": 4096, "updates_per_epoch": 1100, "clip": 25}
    assert {**one, **declared, "label_smoothing": 0.0, "cutoff": False} == one
    assert one["model"] == {
        "name": "transformer", "encoder_layers": 6, "decoder_layers": 6, "width": 512, "heads": 4, "ffn": 1024,
        "dropout": 0.3, "attention_dropout": 0.0, "activation_dropout": 0.0, "share": "decoder",
    }  # fmt: skip
    assert one["schedule"]["warmup"] == {"epochs": 1.0} and runs["translated/2"].recipe["seed"] == 2
    assert runs["translated/1"].step("epoch-50") == 55_000 and runs["translated/1"].epochs("best") == 50
    assert runs["answered"].recipe["pretrained"] == {"folder": "bert_base"}
    assert (runs["answered"].recipe["length"], runs["answered"].recipe["stride"]) == (384, 128)
    tuned, pretrained = runs["tuned"], runs["pretrained"]
    assert tuned.recipe["pretrained"] == {"run": pretrained.id, "at": "epoch-50", "model": pretrained.recipe["model"]}
    assert tuned.teacher == pretrained.id and pretrained.checkpoints == {"epoch-50": 31_250}
    assert tuned.recipe["model"] == pretrained.recipe["model"] != runs["answered"].recipe["model"]


def test_a_scale_changes_what_an_epoch_costs(text):
    runs = recipes(text.plan("demo"))
    one = runs["translated/1"].recipe
    assert (one["data"], one["batch_tokens"], one["updates_per_epoch"]) == ("grammar_de_en", 400, 4)
    assert one["schedule"] == {**TRANSLATION["schedule"], "lr": 3e-3, "warmup": {"epochs": 1.0}}
    pretrained = runs["pretrained"].recipe
    assert [part["lr"] for _, part in pretrained["schedule"]["phases"]] == [0.08, 0.08]
    assert pretrained["model"]["layers"] == 1 and pretrained["lengths"] == PRETRAINING["lengths"]
    answered = runs["answered"].recipe
    assert answered["pretrained"]["run"] == runs["pretrained"].id and answered["data"] == "grammar_questions"
    assert answered["model"] == pretrained["model"]


def test_a_range_test_begins_where_its_runs_begin(text):
    with text.document("analyses") as document:
        document["defaults"]["range_test"] = {
            "schedule": {"name": "exponential_range", "lr_min": 1e-6, "lr_max": 1e-3}, "window": 0.05, "seed": 1
        }  # fmt: skip
        document["range_tests"] = {"tuned": {"like": "tuned", "updates": 50}, "translated": {"like": "translated"}}
    plan = text.plan("paper")
    tests = {each.name.partition("/")[2]: each for each in plan.analyses.values() if each.kind == "range_test"}
    begun = recipes(plan)["tuned"].recipe["pretrained"]
    assert tests["tuned"].recipe["pretrained"] == begun and tests["tuned"].recipe["updates_per_epoch"] == 50
    assert [run.id for run in tests["tuned"].runs] == [begun["run"]] and tests["translated"].runs == []


BERT_BASE = {
    "vocab_size": 30_522, "num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12,
    "intermediate_size": 3072, "max_position_embeddings": 512, "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}  # fmt: skip


def named(text, folder, **changes):
    """A configuration that names a BERT folder of this config.json."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**BERT_BASE, **changes}))
    (folder / "vocab.txt").write_text("")
    return {"data": {**text.config["data"], "sources": {"bert_base": str(folder)}}}


def stand_in_for(text, experiment):
    """Let runs stand in where the folder is not named, with the settings of another experiment."""
    with text.document("demo") as scale:
        del scale["data"]["squad"]
        scale["experiments"]["gotmare2019/other"] = {
            "data": {"squad": "grammar_questions"},
            "rate_factor": 40,
            "length": 96,
        }
        scale["stand_ins"]["bert_base"] |= {"unless_named": True, "experiment": experiment}
    with text.document("runs") as document:
        runs = document["experiments"]["text"]["runs"]
        document["experiments"]["other"] = {"about": "Other", "runs": {"tuned": runs.pop("tuned")}}


def test_a_stand_in_leaves_when_the_checkpoint_is_named(text, tmp_path):
    stand_in_for(text, "gotmare2019/other")
    own = recipes(text.plan("demo"))["answered"].recipe
    assert (own["data"], own["length"], own["schedule"]["lr"]) == (
        "grammar_questions",
        96,
        pytest.approx(2 * 40 * 3e-5),
    )
    plan = text.plan("demo", **named(text, tmp_path / "bert", num_hidden_layers=6, hidden_size=384))
    answered = recipes(plan)["answered"].recipe
    assert answered["data"] == "squad" and answered["pretrained"] == {"folder": "bert_base"}
    assert answered["length"] == 384 and recipes(plan)["tuned"].recipe["data"] == "grammar_questions"
    assert (answered["model"]["layers"], answered["model"]["width"]) == (6, 384)  # as that folder's


def test_at_the_papers_scale_the_folder_is_the_papers_network(text, tmp_path):
    unnamed = recipes(text.plan("paper"))["answered"]
    assert recipes(text.plan("paper", **named(text, tmp_path / "bert")))["answered"].id == unnamed.id
    refused = text.refusal("paper", **named(text, tmp_path / "small", num_hidden_layers=6))
    assert "data.sources.bert_base is another network than the paper's" in refused and "layers 6, not 12" in refused


def test_a_folder_that_is_no_bert_is_told(text, tmp_path):
    stand_in_for(text, "gotmare2019/other")
    refused = text.refusal("demo", **named(text, tmp_path / "bert", hidden_act="relu"))
    assert "data.sources.bert_base" in refused and "hidden_act is 'relu' and not 'gelu'" in refused


def test_word_pieces_of_another_text_are_told(text):
    with text.document("demo") as scale:
        del scale["data"]["squad"]
    refused = text.refusal("demo")
    assert (
        "data is 'squad', in word pieces of bert_base, but what it begins with knows those of grammar_documents"
        in refused
    )


MISTAKES = {
    "missing": ({**TRANSLATION, "batch_tokens": None}, "batch_tokens"),
    "of images": ({**TRANSLATION, "image_sides": [[50, 8]]}, "image_sides is not of the task translation; allowed are"),
    "of another task": ({**TRANSLATION, "stride": 3}, "stride is not of the task translation"),
    "data": (
        {**TRANSLATION, "data": "cifar10"},
        "'cifar10', which is not of the form parallel that",
    ),
    "model": ({**TRANSLATION, "model": {"name": "transformer", "share": "some"}}, "'some' is not one of none, decoder"),
    "optimizer": ({**TRANSLATION, "optimizer": {"name": "radam", "momentum": 0.9}}, "radam has no 'momentum'"),
    "schedule": (
        {**TRANSLATION, "schedule": {"name": "knee", "lr": 1, "explore": 60}},
        "explore: 60 epochs do not fit",
    ),
    "lengths": ({**PRETRAINING, "lengths": [[40, 128]]}, "lengths has 40 epochs, but the run has 50"),
    "phases": (
        {**PRETRAINING, "schedule": {"name": "phases", "phases": [[45, {"name": "knee", "lr": 1, "explore": 50}]]}},
        "phases: they cover 45 epochs; let them add up to the training's 50",
    ),
    "pretrained": ({**ANSWERING, "pretrained": "nobody@epoch-3"}, "names the run 'nobody'"),
    "a translation that begins with a checkpoint": (
        {**TRANSLATION, "pretrained": "pretrained@epoch-50"},
        "pretrained is not of the task translation",
    ),
    "folder": ({**ANSWERING, "pretrained": "nowhere"}, "pretrained is 'nowhere', which is neither a run@epoch-n nor"),
}


@pytest.mark.parametrize(("run", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told(text, run, sentence):
    with text.document("runs") as document:
        document["experiments"]["text"]["runs"]["wrong"] = {
            key: value for key, value in run.items() if value is not None
        }
    assert sentence in text.refusal("paper")


def test_phases_are_their_schedules_one_after_the_other():
    parts = [
        [3, {"name": "knee", "lr": 1.0, "explore": 1, "warmup": {"epochs": 1}}],
        [2, {"name": "linear", "lr": 0.5}],
    ]
    whole = rates({"name": "phases", "phases": parts}, 10, 50)
    assert whole.tolist() == [*rates(parts[0][1], 10, 30), *rates(parts[1][1], 10, 20)]
    assert whole[9] == 1.0 and whole[29] == 0.0 and whole[30] == pytest.approx(0.475)
