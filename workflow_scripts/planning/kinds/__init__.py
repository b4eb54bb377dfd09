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

RECORDS = (
    Kind("curve", "curves", "curve", 1, curve, curve_operations, contents={"table": "path"}),
    Kind(
        "plane", "planes", "plane", 1, plane, plane_operations,
        more_tables={"points": "points.parquet"}, contents={"points": "plane_points"},
    ),
    Kind("similarity", "similarities", "similarity", 1, similarity, similarity_operations),
    Kind("embedding", "embeddings", "embedding", 1, embedding),
    Kind("sharpness", "sharpness", "sharpness", 1, sharpness, sharpness_operations, of_trials=True),
    Kind("fisher", "fisher_scores", "fisher", 1, fisher, fisher_operations, of_trials=True),
    Kind("range_test", "range_tests", "range_test", 1, range_test, range_test_operations),
    Kind("translation", "translations", "translate", 1, translation, of_trials=True),
    Kind("answers", "answers", "answer", 1, answers, of_trials=True),
)  # fmt: skip
KINDS = {kind.name: kind for kind in RECORDS}
OF_TRIALS = tuple(kind.name for kind in RECORDS if kind.of_trials)
