"""Where every result is. The identity of a run or an analysis is in its path, so another recipe is another file."""

from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.models.language.bert_config import CONFIG
from workflow_scripts.planning.kinds import KINDS
from workflow_scripts.recipes import places


@dataclass(frozen=True)
class Paths:
    """Paths below the results directory; `{id}` is a fingerprint or, in the rules, a wildcard.

    archive : the tables of the scale that ship with the repository. archived : whether tables are taken from there.
    """

    results: Path
    data: Path
    archive: Path = Path("archive")
    archived: bool = False

    @property
    def measured(self) -> Path:
        """Where the tidy tables are."""
        return self.archive if self.archived else self.results

    def archived_checkpoint(self, name: str) -> Path:
        """What the archive has of a BERT checkpoint that its trainings begin with: what kind of network it is."""
        return self.archive / "checkpoints" / name / CONFIG

    def archived_checkpoints(self) -> dict[str, Path]:
        """Their folders by name."""
        return {path.parent.name: path.parent for path in sorted(self.archive.glob(f"checkpoints/*/{CONFIG}"))}

    def dataset(self, name: str) -> Path:
        """The small file that describes a prepared data set, with the checksums of its arrays."""
        return self.data / name / "dataset.json"

    def run(self, id: str) -> Path:
        return places.runs(self.results) / id

    def metrics(self, id: str) -> Path:
        return places.runs(self.measured) / id / "metrics.parquet"

    def checkpoints(self, id: str) -> Path:
        return places.checkpoints(self.run(id))

    @property
    def store(self) -> Path:
        return places.store(self.results)

    def run_groups(self, scale: str) -> Path:
        """The file that says which runs may be trained in one process."""
        return places.run_groups(self.results, scale)

    def analysis(self, kind: str, id: str) -> Path:
        return self.results / kind / id

    def tables(self, kind: str, id: str) -> dict[str, str]:
        """The tidy tables of an analysis, by the key that a panel knows them by."""
        folder = self.measured / kind / id
        return {key: str(folder / file) for key, file in KINDS[kind].tables.items()}

    def verdicts(self, scale: str) -> Path:
        """The table of the verdicts on all claims."""
        return self.results / scale / "verdicts.parquet"

    def site(self, scale: str) -> Path:
        return self.results / scale / "site"

    def artifact(self, scale: str, paper: str, name: str) -> Path:
        return self.results / scale / paper / name
