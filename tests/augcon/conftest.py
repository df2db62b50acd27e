"""The bundled sample."""

from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "augcon" / "sample"
ARTICLES, EXAMPLES = SAMPLE / "articles.jsonl", SAMPLE / "qa_examples.jsonl"
