"""What a long job tells while it runs: a plain line an epoch, and on a terminal a progress bar with the time left."""

import time

from tqdm import tqdm


def say(line: str) -> None:
    """Print a line and let it be seen at once, also where the output is a file."""
    print(line, flush=True)


class EpochLog:
    """Tells of epochs as they end.

    name : what the line begins with. samples : images in an epoch. done : epochs that an earlier process trained.
    """

    def __init__(self, name: str, epochs: int, samples: int, done: int):
        self.name, self.epochs, self.samples, self.done = name, epochs, samples, done
        self.started = time.monotonic()
        self.bar = tqdm(total=epochs, initial=done, desc=name, unit="epoch", disable=None, leave=False)

    def epoch(self, number: int, facts: str) -> None:
        """Tell that epoch `number` has ended; `facts` are its metrics in words."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        trained = number - self.done
        rate, left = trained * self.samples / seconds, (self.epochs - number) * seconds / trained
        say(f"{self.name} epoch {number}/{self.epochs}: {facts}, {rate:.0f} images/s, {left:.0f} s left")
        self.bar.update(1)
        if number == self.epochs:
            self.bar.close()
