"""Which runs a file came from: their manifests, first to last, found through the inputs each names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import manifest

TURNED_DOWN = "answers: "  # before the reason, in the counts of a run


@dataclass(slots=True)
class Run:
    path: str
    manifest: dict

    @property
    def counts(self) -> dict[str, int]:
        return self.manifest["counts"]

    @property
    def rejected(self) -> str | None:
        """The file of its rejected rows, if there were any: where the run left it, or beside the output now."""
        left = next((path for path in self.manifest["outputs"] if path.endswith(".rejected.jsonl")), None)
        return f"{self.path}.rejected.jsonl" if left and not Path(left).exists() else left

    @property
    def guards(self) -> dict[str, int]:
        """How many answers each guard turned down; most of them were asked again."""
        return {name[len(TURNED_DOWN) :]: count for name, count in self.counts.items() if name.startswith(TURNED_DOWN)}


def runs_behind(paths: Sequence[str | Path]) -> list[Run]:
    """The runs that made these files, each after those that made its inputs, as far back as there are manifests."""
    found: dict[str, Run] = {}

    def visit(path: str) -> None:
        if path in found or not manifest.path_of(path).exists():
            return
        made = manifest.read(path)
        for source in made["inputs"]:
            visit(source)
        found[path] = Run(path, made)

    for path in paths:
        visit(manifest.full_name(path))
    return list(found.values())
