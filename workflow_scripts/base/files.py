"""Files appear whole or not at all: they are written beside their place, flushed to disk, then renamed."""

import contextlib
import glob
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

MACHINE = re.sub("[^A-Za-z0-9-]", "-", platform.node())


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; on a clean exit rename it into place, otherwise remove it.

    >>> with whole_file("results/table.csv") as temporary:          # doctest: +SKIP
    ...     table.to_csv(temporary)
    """
    path = Path(path)
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        try:
            yield temporary
            flush(temporary)
            temporary.replace(path)
            flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Like `whole_file`, for a directory of files; what stood at `path` before is replaced."""
    path = Path(path)
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        temporary.mkdir()
        try:
            yield temporary
            for file in temporary.rglob("*"):
                flush(file)
            _exchange(temporary, path)
            flush(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A new name beside `path`, after removing what killed processes of this machine had begun to write for it."""
    for half in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        writer = re.fullmatch(rf"{re.escape(MACHINE)}\.(\d+)-[0-9a-f]+", half.name[len(path.name) + 2 : -len(".part")])
        if writer and not _lives(int(writer[1])):
            shutil.rmtree(half) if half.is_dir() else half.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{MACHINE}.{os.getpid()}-{secrets.token_hex(4)}.part")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _exchange(temporary: Path, path: Path) -> None:
    """Put a directory in the place of another, also where another process does the same: the last one stays."""
    while True:
        before = _beside(path)
        with contextlib.suppress(FileNotFoundError):
            path.replace(before)
        try:
            temporary.replace(path)
            return
        except OSError:
            if not path.is_dir():
                raise
        finally:
            shutil.rmtree(before, ignore_errors=True)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors tell `path`: the one of a write to a full disk names no file, others the temporary one."""
    try:
        yield
    except OSError as error:
        if error.filename is None or str(error.filename).endswith(".part"):
            error.filename = str(path)
        raise


def flush(path: Path) -> None:
    """Ask the operating system to put a file or directory on the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that listings leave out, such as .DS_Store and ._picture.jpg."""
    return name.startswith(".")


def link_or_copy(source: Path, target: Path) -> None:
    """Give `source` a second name; where the file system has no hard links, copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
