"""What the next step needs, made by a thread while the present one is computed."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

What = TypeVar("What")
Made = TypeVar("Made")


def ahead(make: Callable[[What], Made], whats: Iterable[What]) -> Iterator[Made]:
    """As `map(make, whats)`, one ahead of what is asked for; an error is raised where its result is asked for."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for what in whats:
            made, waiting = waiting, pool.submit(make, what)
            if made is not None:
                yield made.result()
        if waiting is not None:
            yield waiting.result()
