"""The kinds of analysis. Each is a function of (resolver, name, settings, where) that gives an Analysis.

It gives None, and tells the resolver a problem, where what it names does not exist. `settings` are those of the paper
at the chosen scale; `where` is the place of the declaration, for messages.
"""

from workflow_scripts.planning.kinds.landscape import curve, plane
from workflow_scripts.planning.kinds.language import answers, translation
from workflow_scripts.planning.kinds.representation import embedding, similarity
from workflow_scripts.planning.kinds.sharpness import fisher, range_test, sharpness

RESOLVE = {
    "curve": curve,
    "plane": plane,
    "similarity": similarity,
    "embedding": embedding,
    "sharpness": sharpness,
    "fisher": fisher,
    "range_test": range_test,
    "translation": translation,
    "answers": answers,
}
# Where analyses.yaml declares them.
PLURALS = {
    "curve": "curves",
    "plane": "planes",
    "similarity": "similarities",
    "embedding": "embeddings",
    "sharpness": "sharpness",
    "fisher": "fisher_scores",
    "range_test": "range_tests",
    "translation": "translations",
    "answers": "answers",
}
# These measure every trial of a setting, each by itself.
OF_TRIALS = ("sharpness", "fisher", "translation", "answers")
