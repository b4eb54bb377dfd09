"""Plain text files as lines. Nothing in them is trusted: what is wrong is reported with its file and line."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from workflow_scripts.base.errors import InputError


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file without their ends. Only \\n and \\r\\n end a line, as with `wc`, `cut` and `paste`.

    Raises
    ------
    InputError : the file cannot be read, or a line is not UTF-8.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    with file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path} line {number} is not UTF-8 (byte 0x{line[error.start]:02x}); convert the file, for "
                    f"example with iconv -f latin1 -t utf-8"
                ) from None
            yield text.removesuffix("\n").removesuffix("\r")


def read_pairs(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    """The lines of two files, side by side.

    Raises
    ------
    InputError : one has more lines than the other, or `read_lines` refuses one.
    """
    yield from together(source, read_lines(source), target, read_lines(target))


def together(source: Path, sources: Iterable[str], target: Path, targets: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Lines of two files side by side; see `read_pairs`."""
    sources, targets = iter(sources), iter(targets)
    for number in itertools.count():
        pair = next(sources, None), next(targets, None)
        if pair == (None, None):
            return
        if None in pair:
            more = 1 + sum(1 for _ in (sources if pair[1] is None else targets))
            counts = (number + more, number) if pair[1] is None else (number, number + more)
            raise InputError(
                f"{source} has {counts[0]} lines, but {target} has {counts[1]}; line n of one must translate line n "
                "of the other"
            )
        yield pair
