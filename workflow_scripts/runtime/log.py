"""What a long job tells while it runs: a plain line an epoch, and on a terminal a progress bar with the time left."""

import time

from tqdm import tqdm


def say(line: str) -> None:
    """Print a line and let it be seen at once, also where the output is a file."""
    print(line, flush=True)


class EpochLog:
    """Reports epochs as they end.

    name : what the line begins with. done : epochs that an earlier process trained. shown : whether to report at all.
    """

    def __init__(self, name: str, epochs: int, done: int, shown: bool = True):
        self.name, self.epochs, self.done, self.shown = name, epochs, done, shown
        self.started = time.monotonic()
        self.bar = tqdm(
            total=epochs, initial=done, desc=name, unit="epoch", disable=None if shown else True, leave=False
        )

    def epoch(self, number: int, facts: str) -> None:
        """Report that epoch `number` has ended; `facts` are its metrics in words."""
        if not self.shown:
            return
        seconds = max(time.monotonic() - self.started, 1e-9)
        each = seconds / (number - self.done)
        left = (self.epochs - number) * each
        say(f"{self.name} epoch {number}/{self.epochs}: {facts}, {each:.3g} s an epoch, {left:.0f} s left")
        self.bar.update(1)
        if number == self.epochs:
            self.bar.close()
