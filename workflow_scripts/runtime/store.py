"""Where unfinished and finished work is kept, keyed by fingerprint and apart from the workflow's outputs.

No torch is imported before there are tensors to save or load: a finished run is handed out in no time.

The workflow deletes a job's outputs before it runs and after it fails; what stands here survives both, so a killed job
goes on from its last snapshot and a finished one is never computed again. One process at a time may work on a
fingerprint: a second one waits.
"""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from workflow_scripts.base.checksums import checksum
from workflow_scripts.base.files import write_text
from workflow_scripts.recipes.canonical import canonical

if TYPE_CHECKING:
    from torch import Tensor


class Store:
    """The folder of one fingerprint.

    identity : what the work rests on (recipe, checksums of the data). A folder that was begun for another identity,
        say before the data changed, is emptied.
    """

    def __init__(self, root: Path, id: str, identity: dict):
        self.folder = Path(root) / id
        self.identity = canonical(identity)

    @contextlib.contextmanager
    def locked(self, wait: bool = True) -> Iterator["Store"]:
        """Work on this fingerprint alone; the lock is freed by any death of the process.

        Raises
        ------
        BlockingIOError : another process works on it, and `wait` is false.
        """
        with self.held(wait):
            for half in self.folder.rglob(".*.part"):  # of a process that was killed while it wrote
                half.unlink()
            known = self.folder / "identity.json"
            if not known.exists() or known.read_text() != self.identity:
                self.begin_anew()
            yield self

    @contextlib.contextmanager
    def held(self, wait: bool = True) -> Iterator[None]:
        """Have this fingerprint alone, as it is; raises as `locked` does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield

    def begin_anew(self) -> None:
        """Forget all work."""
        for path in self.folder.iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_text(self.folder / "identity.json", self.identity)

    def finish(self, status: dict, *files: Path) -> None:
        """Mark the work as finished; everything else stands by now. The checksums of its `files` are kept."""
        sums = {str(path.relative_to(self.folder)): checksum(path) for path in files}
        write_text(self.folder / "checksums.json", canonical(sums))
        write_text(self.folder / "finished.json", canonical(status))

    def damaged(self) -> list[str]:
        """Those of the finished work's files that are no longer what was written; none where it is not finished."""
        known = self.folder / "checksums.json"
        if self.finished() is None or not known.exists():
            return []
        sums = json.loads(known.read_text()).items()
        return [name for name, sum in sums if not (self.folder / name).exists() or checksum(self.folder / name) != sum]

    def finished(self) -> dict | None:
        """The status that the work ended with, or None where it is still to be done."""
        path = self.folder / "finished.json"
        return json.loads(path.read_text()) if path.exists() else None

    def save_snapshot(self, tensors: "dict[str, Tensor]", progress: dict) -> None:
        """Replace the snapshot, whole: named tensors and a JSON `progress`."""
        from workflow_scripts.models.checkpoints import write

        write(self.folder / "snapshot.safetensors", tensors, {"progress": json.dumps(progress)})

    def snapshot(self) -> "tuple[dict[str, Tensor], dict] | None":
        """The last snapshot, or None; one that cannot be read is as good as none, since it can be computed again."""
        from safetensors import SafetensorError, safe_open

        path = self.folder / "snapshot.safetensors"
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                progress = json.loads(file.metadata()["progress"])
                return {name: file.get_tensor(name) for name in file.keys()}, progress  # noqa: SIM118 (not a dict)
        except (SafetensorError, TypeError, KeyError, ValueError):
            print(f"the snapshot {path} is damaged; beginning anew", flush=True)
            return None

    def progress(self) -> dict | None:
        """What the last snapshot tells of itself, without its tensors; None as of `snapshot`."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.folder / "snapshot.safetensors", framework="numpy") as file:
                return json.loads(file.metadata()["progress"])
        except (OSError, SafetensorError, TypeError, KeyError, ValueError):
            return None
