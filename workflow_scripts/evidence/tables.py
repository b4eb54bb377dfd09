"""Tidy tables: the one place that says what their columns mean, and that writes and reads them.

Every analysis ends in one Parquet file in long form. The file also carries, as JSON in its schema metadata, whether
what it measured ran to its end (`status`) and where it came from (`provenance`).

`status` is ``{"state": "finished"}``, or, where a training left the range of finite numbers (a result, not a mistake),
``{"state": "diverged", "run": fingerprint, "step": int, "epoch": float, "reason": str}``. Either may have
``"attempts"``: a list of ``{"run", "step", "epoch", "reason"}``, one for each training that diverged before the
declared fall-back settings were taken. An analysis of something that diverged has a table without rows.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import whole_file
from workflow_scripts.evidence.metrics import METRICS, SPLITS, meanings

FINISHED: Mapping[str, Any] = {"state": "finished"}
DIVERGENCE: Mapping[str, type | tuple[type, ...]] = {"run": str, "step": int, "epoch": (int, float), "reason": str}
METADATA_KEY = b"closer_look"
ARROW = {"text": pa.string(), "integer": pa.int64(), "real": pa.float64()}


@dataclass(frozen=True)
class Column:
    """A column: its dtype ("text", "integer" or "real"), its meaning with units, and, for some, its only values."""

    dtype: str
    meaning: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of table: what a row is, its columns in order, and the columns that no two rows share (`key`)."""

    row: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class Table:
    """A tidy table as it was read: rows, the status of what it measured, and where it came from."""

    frame: pd.DataFrame
    status: dict[str, Any] = field(default_factory=lambda: dict(FINISHED))
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def diverged(self) -> bool:
        """Whether the training behind this table diverged (fall-back attempts aside)."""
        return self.status["state"] == "diverged"


SPLIT = Column("text", "part of the data; the papers' “validation” of images is the test set", tuple(SPLITS))
METRIC = Column("text", "what was measured", tuple(METRICS))
VALUE = Column("real", f"inf or nan where diverged. {meanings()}")
RUN = Column("text", "fingerprint of the run")
LAYER = "index of the operation in forward order, from 0"

VERDICTS = ("supported", "contradicted", "undecided", "not run", "not evidence")

KINDS: dict[str, Kind] = {
    "metrics": Kind(
        "a metric of a training at the end of an epoch (learning rate: at a step)",
        ("run", "step", "split", "metric"),
        {
            "run": RUN,
            "step": Column("integer", "updates made so far"),
            "epoch": Column("real", "the same moment in the paper's epochs"),
            "split": SPLIT,
            "metric": METRIC,
            "value": VALUE,
        },
    ),
    "path": Kind(
        "a metric at a point of a path between two modes",
        ("path", "epoch", "point", "split", "metric"),
        {
            "path": Column("text", "the trained curve, or the straight segment", ("curve", "segment")),
            "epoch": Column("integer", "epoch of the curve's training; a segment has 0"),
            "point": Column("integer", "index of the point along the path, from 0"),
            "t": Column("real", "the path's parameter, 0 to 1"),
            "arc_length": Column("real", "distance from the start along the path, in weight space"),
            "split": SPLIT,
            "metric": METRIC,
            "value": VALUE,
        },
    ),
    "plane": Kind(
        "a metric at a point of a plane through weight space",
        ("x", "y", "split", "metric"),
        {
            "x": Column("real", "coordinate along w_b - w_a, in weight-space distance from w_a"),
            "y": Column("real", "coordinate orthogonal to x within the plane, in weight-space distance"),
            "split": SPLIT,
            "metric": METRIC,
            "value": VALUE,
        },
    ),
    "plane_points": Kind(
        "a point of weight space projected on a plane",
        ("kind", "label", "epoch", "method"),
        {
            "kind": Column("text", "one of the three points that span the plane, or an iterate", ("vertex", "iterate")),
            "label": Column("text", "name of the point, such as w70 or w70-150"),
            "epoch": Column("integer", "epoch of the training that the point is from; -1 for a bend"),
            "x": Column("real", "as in the plane"),
            "y": Column("real", "as in the plane"),
            "residual": Column("real", "weight-space distance between the point and its projection"),
            "method": Column("text", "affine or unconstrained linear least squares", ("affine", "linear")),
        },
    ),
    "similarity": Kind(
        "the SVCCA similarity of two layers",
        ("layer_a", "layer_b"),
        {
            "layer_a": Column("integer", LAYER),
            "label_a": Column("text", "name of the operation, such as conv or fc"),
            "layer_b": Column("integer", LAYER),
            "label_b": Column("text", "name of the operation"),
            "similarity": Column("real", "mean canonical correlation, 0 to 1"),
            "floor": Column("real", "the same statistic for independent data of this size: similarity of no meaning"),
            "rank_a": Column("real", "directions kept by the SVD of layer a, mean over frequencies"),
            "rank_b": Column("real", "directions kept by the SVD of layer b, mean over frequencies"),
            "n": Column("integer", "samples that the correlations were computed on"),
        },
    ),
    "embedding": Kind(
        "a point of weight space placed in two dimensions by t-SNE",
        ("name",),
        {
            "name": Column("text", "mode (G, A, ...) or bend, named after its two modes (GA, ...)"),
            "kind": Column("text", "what the point is", ("mode", "bend")),
            "x": Column("real", "first coordinate, without unit"),
            "y": Column("real", "second coordinate, without unit"),
        },
    ),
    "sharpness": Kind(
        "Keskar's sharpness of the minimum that a training ended in",
        ("run",),
        {
            "run": RUN,
            "sharpness": Column("real", "100 (ascended_loss - loss) / (1 + loss), in percent; nan where not finite"),
            "loss": Column("real", "loss over the training set at the minimum, in nats, un-augmented, without L2"),
            "ascended_loss": Column("real", "the same where the ascent within the box ended"),
            "on_faces": Column("real", "share of the weights that ended on a face of the box, 0 to 1"),
            "steps": Column("integer", "minibatch steps of the ascent"),
            "variant": Column("text", "how the ascent was made where the paper is silent"),
        },
    ),
    "fisher": Kind(
        "the Fisher score of the minimum that a training ended in",
        ("run",),
        {
            "run": RUN,
            "fisher_score": Column("real", "largest eigenvalue of the Fisher information matrix; nan where not finite"),
            "iterations": Column("integer", "Lanczos steps"),
            "converged": Column("text", "whether the residual came down to the tolerance", ("yes", "no")),
            "residual": Column("real", "|F v - score v| / score of the unit eigenvector v"),
        },
    ),
    "translation": Kind(
        "how well a training translates",
        ("run",),
        {
            "run": RUN,
            "bleu": Column("real", "corpus BLEU of the translations' words, 0 to 100"),
            "sentences": Column("integer", "that were translated"),
            "length_ratio": Column("real", "words of the translations over those of the references"),
            "signature": Column("text", "sacrebleu's, which says how BLEU was computed"),
        },
    ),
    "answers": Kind(
        "how well a training answers questions",
        ("run",),
        {
            "run": RUN,
            "exact_match": Column("real", "share of the answers that are one of the given ones, in percent"),
            "f1": Column("real", "mean overlap of words with the nearest given answer, in percent"),
            "questions": Column("integer", "that were answered"),
        },
    ),
    "range_test": Kind(
        "an update of a learning-rate range test",
        ("step",),
        {
            "step": Column("integer", "number of the update, from 1"),
            "rate": Column("real", "learning rate of the update"),
            "loss": Column("real", "loss of its minibatch before it, in nats"),
            "smoothed_loss": Column("real", "moving average of the loss"),
            "minimum": Column("real", "rate at which the smoothed loss is least; the same in all rows"),
            "suggestion": Column("real", "largest rate to train with, a tenth of that; the same in all rows"),
        },
    ),
    "verdicts": Kind(
        "what the tables, or the paper's own numbers, say of a claim",
        ("claim", "whose"),
        {
            "claim": Column("text", "paper and name of the claim, as declared"),
            "whose": Column("text", "numbers that it was judged from", ("ours", "paper")),
            "verdict": Column("text", "see evidence/verdicts.py", VERDICTS),
            "kind": Column("text", "of judgement; see evidence/predicates.py"),
            "effect": Column("real", "what was judged, in the unit of its kind; nan where there is none"),
            "low": Column("real", "lower end of its 95 % interval; nan for single runs"),
            "high": Column("real", "upper end"),
            "expected": Column("text", "direction that the claim gives the effect"),
            "threshold": Column("real", "from which on the effect supports the claim"),
            "contradicted": Column("real", "from which on it speaks against it"),
            "p": Column("real", "two-sided; nan where nothing was tested"),
            "p_corrected": Column("real", "for the number of claims, by Holm's procedure"),
            "n": Column("integer", "least number of trials of a setting"),
            "scale": Column("text", "of the runs; empty for the paper's own numbers"),
            "data": Column("text", "data sets of the runs"),
            "device": Column("text", "devices that they were computed on"),
            "figure": Column("text", "artifacts that show it"),
            "note": Column("text", "what is missing or diverged"),
        },
    ),
}


def write_table(
    path: str | os.PathLike,
    frame: pd.DataFrame,
    kind: str,
    status: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write `frame` as a table of `kind` (a key of `KINDS`), whole, with its columns in the documented order.

    An empty `frame` may lack its columns. Raises InputError if columns, dtypes, values or status are not as documented.
    """
    status = dict(FINISHED if status is None else status)
    columns = _kind(kind).columns
    if frame.empty and not len(frame.columns):
        frame = pd.DataFrame({name: [] for name in columns})
    problems = [*_frame_problems(frame, kind), *_status_problems(status)]
    if problems:
        raise InputError.together(f"the {kind} table for {Path(path)} is not as documented", problems)
    schema = pa.schema([(name, ARROW[column.dtype]) for name, column in columns.items()])
    described = json.dumps({"kind": kind, "status": status, "provenance": dict(provenance or {})}, sort_keys=True)
    table = pa.Table.from_pandas(frame[list(columns)], schema, preserve_index=False)
    with whole_file(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({METADATA_KEY: described.encode()}), temporary, write_page_checksum=True
        )


def read_table(path: str | os.PathLike, kind: str) -> Table:
    """Read a table of `kind`. Raises InputError if it is absent, damaged, of another kind, or not one of ours."""
    path, columns = Path(path), _kind(kind).columns
    if not path.is_file():
        raise InputError(f"there is no {kind} table at {path}; make it by running the analysis that writes it")
    try:
        stored = pq.ParquetFile(path, page_checksum_verification=True).read()
        found, status, provenance = _described(stored.schema)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged or no Parquet file: delete it and make it again") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} was not written by this project: give a {kind} table that it wrote") from error
    if found != kind:
        raise InputError(f"{path} is a {found} table where a {kind} table is needed: give one of that kind")
    problems = [*_arrow_problems(stored.schema, columns), *_status_problems(status)]
    if problems:
        raise InputError.together(f"the {kind} table {path} is not as documented, so make it again", problems)
    return Table(stored.to_pandas(), status, provenance)


def read_facts(path: Path) -> tuple[dict, dict]:
    """Status and provenance of a table of any kind; its rows are not read.

    Raises
    ------
    InputError : it is damaged, or not one of ours.
    """
    try:
        return _described(pq.read_schema(path))[1:]
    except (pa.ArrowException, OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no table of this project, or damaged: delete it and make it again") from error


def _described(schema: pa.Schema) -> tuple[str, dict, dict]:
    """Kind, status and provenance."""
    described = json.loads((schema.metadata or {})[METADATA_KEY])
    return described["kind"], described["status"], described["provenance"]


def _kind(kind: str) -> Kind:
    if kind not in KINDS:
        raise InputError(f"{kind!r} is no kind of table: take one of {', '.join(KINDS)}")
    return KINDS[kind]


def _frame_problems(frame: pd.DataFrame, kind: str) -> list[str]:
    """Everything in which `frame` differs from the documented columns of `kind`, in one pass."""
    described = KINDS[kind]
    problems = _name_problems(list(frame.columns), described.columns)
    if problems or frame.empty:
        return problems
    checks = {
        "text": lambda values: values.map(lambda value: isinstance(value, str)).all(),
        "integer": pd.api.types.is_integer_dtype,
        "real": lambda values: pd.api.types.is_float_dtype(values) or pd.api.types.is_integer_dtype(values),
    }
    for name, column in described.columns.items():
        if not checks[column.dtype](frame[name]):
            problems.append(f"column {name} must hold {column.dtype} values, not {frame[name].dtype}")
        elif column.values and (strange := sorted(set(frame[name]) - set(column.values))):
            problems.append(f"column {name} holds {strange}: take one of {', '.join(column.values)}")
    if not problems and frame.duplicated(list(described.key)).any():
        twice = frame.loc[frame.duplicated(list(described.key)), list(described.key)].iloc[0].to_dict()
        problems.append(f"two rows share the key {twice}")
    return problems


def _arrow_problems(schema: pa.Schema, columns: Mapping[str, Column]) -> list[str]:
    wrong = [name for name in columns if name in schema.names and schema.field(name).type != ARROW[columns[name].dtype]]
    return _name_problems(schema.names, columns) + [
        f"column {name} holds {schema.field(name).type} in place of {columns[name].dtype} values" for name in wrong
    ]


def _name_problems(names: list[str], columns: Mapping[str, Column]) -> list[str]:
    return [f"column {name} is missing" for name in columns if name not in names] + [
        f"column {name} is unknown" for name in names if name not in columns
    ]


def _status_problems(status: Any) -> list[str]:
    """What is wrong with a status; see the top of this file for its two forms."""
    if not isinstance(status, dict) or status.get("state") not in ("finished", "diverged"):
        return [f'status must have state "finished" or "diverged", not {status!r}']
    attempts = status.get("attempts", [])
    if not isinstance(attempts, list) or not all(isinstance(attempt, dict) for attempt in attempts):
        return ["status: attempts must be a list of mappings"]
    divergences = {f"attempt {number}": attempt for number, attempt in enumerate(attempts, 1)}
    if status["state"] == "diverged":
        divergences["status"] = status
    return [
        f"{where}: {key} is missing or of a wrong type"
        for where, divergence in divergences.items()
        for key, types in DIVERGENCE.items()
        if not isinstance(divergence.get(key), types)
    ]
