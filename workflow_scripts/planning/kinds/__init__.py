"""The kinds of analysis, a record for each."""

from workflow_scripts.planning.kinds.kind import Kind
from workflow_scripts.planning.kinds.landscape import curve, curve_operations, plane, plane_operations
from workflow_scripts.planning.kinds.language import answers, translation
from workflow_scripts.planning.kinds.representation import embedding, similarity, similarity_operations
from workflow_scripts.planning.kinds.sharpness import (
    fisher,
    fisher_operations,
    range_test,
    range_test_operations,
    sharpness,
    sharpness_operations,
)
from workflow_scripts.recipes import engine

RECORDS = (
    Kind("curve", "curves", "curve", engine.CURVE, curve, curve_operations, contents={"table": "path"}),
    Kind(
        "plane",
        "planes",
        "plane",
        engine.PLANE,
        plane,
        plane_operations,
        more_tables={"points": "points.parquet"},
        contents={"points": "plane_points"},
    ),
    Kind("similarity", "similarities", "similarity", engine.SIMILARITY, similarity, similarity_operations),
    Kind("embedding", "embeddings", "embedding", engine.EMBEDDING, embedding),
    Kind("sharpness", "sharpness", "sharpness", engine.SHARPNESS, sharpness, sharpness_operations, of_trials=True),
    Kind("fisher", "fisher_scores", "fisher", engine.FISHER, fisher, fisher_operations, of_trials=True),
    Kind("range_test", "range_tests", "range_test", engine.RANGE_TEST, range_test, range_test_operations),
    Kind("translation", "translations", "translate", engine.TRANSLATION, translation, of_trials=True),
    Kind("answers", "answers", "answer", engine.ANSWERS, answers, of_trials=True),
)
KINDS = {kind.name: kind for kind in RECORDS}
OF_TRIALS = tuple(kind.name for kind in RECORDS if kind.of_trials)
