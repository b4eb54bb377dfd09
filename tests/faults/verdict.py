"""What a workflow that was killed must have in common with one that was not."""

import fcntl
import hashlib
from pathlib import Path

import pyarrow as pa

from workflow_scripts.evidence.tables import KINDS, read_table

NO_RESULTS = ("store", "logs", "run_groups")
COMPARED = (".parquet", ".safetensors", ".csv", ".tex", ".md")
KIND_OF_FILE = {"curve.parquet": "path", "points.parquet": "plane_points"}


def problems(directory: Path, reference: Path) -> list[str]:
    """Everything in which two directories of finished workflows differ, and what a kill left behind."""
    return [
        *differences(directory / "results", reference / "results"),
        *(f"{path} is still locked" for path in held(directory)),
        # Not in the folder of temporary files, where a notebook that was killed leaves its own.
        *(f"{path} is half a file" for part in ("results", "data") for path in (directory / part).rglob("*.part")),
    ]


def differences(results: Path, reference: Path) -> list[str]:
    """Result files that are not bit for bit those of the reference."""
    ours, theirs = compared(results), compared(reference)
    return [
        *(f"{name} is missing" for name in sorted(theirs - ours)),
        *(f"{name} is too much" for name in sorted(ours - theirs)),
        *(f"{name} differs" for name in sorted(ours & theirs) if digest(results / name) != digest(reference / name)),
    ]


def compared(results: Path) -> set[str]:
    """The files to compare, relative to the results: numbers; pictures and notebooks tell commits and times."""
    paths = (path.relative_to(results) for path in results.rglob("*") if path.suffix in COMPARED and path.is_file())
    return {str(path) for path in paths if path.parts[0] not in NO_RESULTS and not path.name.startswith(".")}


def digest(path: Path) -> str:
    """SHA-256 of a file; of a table without its provenance, which tells the state of the checkout."""
    if path.suffix != ".parquet":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    kind = KIND_OF_FILE.get(path.name, path.stem)
    assert kind in KINDS, path
    table = read_table(path, kind)
    sink = pa.BufferOutputStream()
    rows = pa.Table.from_pandas(table.frame, preserve_index=False).replace_schema_metadata(None).combine_chunks()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return hashlib.sha256(sink.getvalue().to_pybytes() + repr(sorted(table.status.items())).encode()).hexdigest()


def held(directory: Path) -> list[Path]:
    """Locks that somebody holds: files of Snakemake's own, and locks of the store that cannot be had."""
    return [*(directory / ".snakemake" / "locks").glob("*"), *filter(_taken, directory.glob("results/store/*/lock"))]


def _taken(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
