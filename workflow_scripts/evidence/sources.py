"""The tables behind an artifact, and one sentence for each that has nothing to show."""

import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.base.errors import InputError
from workflow_scripts.evidence.tables import Table, read_facts, read_table

NOT_RUN = "not run"


class Sources:
    """Reads each table once and remembers it.

    Parameters
    ----------
    root : folder that relative paths of tables start from.
    names : what to call runs, by fingerprint; a run without a name is called by its fingerprint's first digits.
    runs : by fingerprint {"table", ...}, the metrics of all runs that the tables rest on, directly or not.
    """

    def __init__(
        self,
        root: str | os.PathLike = ".",
        names: Mapping[str, str] | None = None,
        runs: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self.root = Path(root)
        self.names = dict(names or {})
        self.runs = dict(runs or {})
        self._origins: dict[str, dict] = {}
        self._read: dict[tuple[str, str], Table | None] = {}

    def read(self, path: str, kind: str) -> Table | None:
        """The table at `path`, or None if nobody has made it yet. Raises InputError if it is there but unreadable."""
        if (path, kind) not in self._read:
            place = self.root / path
            self._read[path, kind] = read_table(place, kind) if place.exists() else None
        return self._read[path, kind]

    def rows(self, path: str, kind: str, /, **where: Any) -> pd.DataFrame:
        """The rows of a table in which each column of `where` has its value, with a column `note`.

        The note is empty, but for the last row of a training that diverged on its way, and for rows that hold nothing
        else: one where there is no table, one for each attempt that diverged before a run fell back to other settings,
        and one where an analysis lacks a run because it diverged. Raises InputError if a finished table has no such
        rows.
        """
        table = self.read(path, kind)
        if table is None:
            return pd.DataFrame([{"note": NOT_RUN}])
        frame = table.frame
        for column, value in where.items():
            frame = frame[frame[column] == value]
        if frame.empty and not table.diverged:
            held = {column: sorted(table.frame[column].unique().tolist()) for column in where}
            raise InputError(f"{path} has no rows with {where}: it holds {held}")
        notes = [{"note": self.fallback(attempt)} for attempt in table.status.get("attempts", [])]
        frame = frame.assign(note="")
        if table.diverged and (frame.empty or kind != "metrics"):
            notes.append({"note": self.divergence(table.status)})
        elif table.diverged:
            frame.loc[frame.index[-1], "note"] = self.divergence(table.status)
        if frame.empty:
            return pd.DataFrame(notes)
        return pd.concat([frame, pd.DataFrame(notes)], ignore_index=True) if notes else frame.reset_index(drop=True)

    def divergence(self, status: Mapping[str, Any]) -> str:
        """What a status tells of the training that diverged, in words."""
        name = self.names.get(status["run"], f"run {status['run'][:8]}")
        return f"{name} diverged at epoch {status['epoch']:.3g} (step {status['step']})"

    def fallback(self, attempt: Mapping[str, Any]) -> str:
        """What is said of a training that diverged before other settings were taken, and which these are, in words."""
        recipe = self.origin(attempt["run"]).get("recipe", {})
        changed = list(_leaves(recipe.get("fallback") or {}))
        if not changed:
            return f"{self.divergence(attempt)}, then fell back"
        name = self.names.get(attempt["run"], f"run {attempt['run'][:8]}")
        first = ", ".join(f"{keys[-1]} {functools.reduce(dict.get, keys, recipe):g}" for keys, _ in changed)
        then = ", ".join(f"{keys[-1]} {value:g}" for keys, value in changed)
        return f"{name} with {first} diverged at epoch {attempt['epoch']:.3g}; drawn: {then}"

    def origin(self, run: str) -> dict[str, Any]:
        """Where the metrics of a run came from, its recipe among that; empty where there are none."""
        if run not in self._origins:
            place = self.root / self.runs[run]["table"] if run in self.runs else None
            self._origins[run] = read_facts(place)[1] if place and place.is_file() else {}
        return self._origins[run]

    def inventory(self) -> pd.DataFrame:
        """What was read: one row per table, with its state, its number of rows and the commit that made it."""
        return pd.DataFrame(
            [
                {
                    "table": path,
                    "kind": kind,
                    "state": table.status["state"] if table else NOT_RUN,
                    "rows": len(table.frame) if table else 0,
                    "commit": _commit(table) if table else "",
                    "device": table.provenance.get("device") or "unknown" if table else "",
                    "scale": table.provenance.get("scale", "unknown") if table else "",
                    "made": table.provenance.get("time", "unknown") if table else "",
                }
                for (path, kind), table in self._read.items()
            ]
        )

    def provenance(self, path: str) -> dict[str, Any]:
        """Where a table came from; empty if it was not read, or nobody has made it."""
        return next((table.provenance for (read, _), table in self._read.items() if read == path and table), {})

    def fingerprints(self) -> list[str]:
        """Fingerprints of all runs that the tables rest on."""
        return sorted({one for origin in self._all_origins() for one in origin.get("fingerprints", [])})

    def seeds(self) -> list[int]:
        """Seeds of all runs that the tables rest on."""
        return sorted({seed for origin in self._all_origins() for seed in origin.get("seeds", [])})

    def device(self) -> str | None:
        """What all of it was computed on: one device, or several with commas between."""
        return ", ".join(sorted({origin["device"] for origin in self._all_origins() if origin.get("device")})) or None

    def _all_origins(self) -> list[Mapping[str, Any]]:
        tables = [table.provenance for table in self._read.values() if table]
        return [*tables, *map(self.origin, self.runs)]


def _leaves(settings: Mapping[str, Any], keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(keys, value) of every setting in nested ones."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*keys, key))
        else:
            yield (*keys, key), value


def _commit(table: Table) -> str:
    git = table.provenance.get("git", {"commit": "unknown", "dirty": False})
    return f"{git['commit'][:12]}{' (dirty)' if git['dirty'] is True else ''}"
