"""What the steps that ask a model share: the documents to ask about, their prompts, and the released command line."""

import argparse
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from common.errors import BadInput, Reject
from common.languages import PROMPT_LANGUAGES, detect_language
from common.llm import Request
from common.manifest import hash_text
from common.program import positive
from common.prompts import fill, load_prompt
from common.rows import count_rows, input_files
from common.step import need
from edu_filter.ratings import own_mark, without_marks

MARKER = "<EJEMPLO>"  # of the released prompt files
MAX_CHARS = 2000  # about what an encoder's 512 tokens hold
RELEASED_SAMPLING = {
    "temperature": 0,
    "top_p": 0.95,
    "max_tokens": 200,
    "extra_body": {"truncate_prompt_tokens": 130000},
}
RELEASED_COLUMN = "texto"


def not_negative(text: str) -> int:
    if (value := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"{text}: expected 0 or more")
    return value


def add_document_arguments(parser: argparse.ArgumentParser, prompt: str) -> None:
    group = parser.add_argument_group("documents")
    group.add_argument(
        "--dataset_path", "--data_path", dest="data_path", required=True, help="documents: a file, folder or glob"
    )
    group.add_argument(
        "--output_path", "--save_path", dest="save_path", required=True,
        help="rows (.jsonl, .parquet …); a .json is written as the released file, with the rows beside it",
    )  # fmt: skip
    group.add_argument("--text_column", default=RELEASED_COLUMN, help="key of a document's text")
    group.add_argument(
        "--lang", choices=["auto", *PROMPT_LANGUAGES], default="auto", help="of the prompts; auto: each document's own"
    )
    group.add_argument(
        "--max_chars", type=not_negative, default=MAX_CHARS, help="of a document that the model sees; 0: all"
    )
    group.add_argument("--prompt_path", help=f"your prompt, with {MARKER} or {{text}} where the document goes")
    group.add_argument("--prompt_folder", help=f"folder with your {prompt}.LANG.txt; languages it lacks are ours")
    group = parser.add_argument_group("the released command")
    group.add_argument("--model_path", help="the same as --model")
    group.add_argument("--batch_size", type=positive, default=500, help="decides which rows --paper_exact leaves out")
    group.add_argument("--download_dir", help="the server's: see the launcher")
    group.add_argument("--tensor_parallel_size", type=int, help="the server's: see the launcher")
    group.add_argument(
        "--paper_exact", action="store_true", help="requests, parsing and file of the released code, defects included"
    )


@dataclass(frozen=True)
class Prompts:
    """How a document becomes a request. One file of the user's serves all languages."""

    name: str
    lang: str = "auto"
    path: str | None = None
    folder: str | None = None
    max_chars: int = MAX_CHARS
    paper_exact: bool = False
    response_format: dict | None = field(default=None, hash=False)

    def language(self, text: str) -> str:
        """Of the prompt: the document's own if there are prompts in it, else English."""
        found = detect_language(text) if self.lang == "auto" else self.lang
        return found if found in PROMPT_LANGUAGES else "en"

    def shown(self, text: str) -> str:
        """The part of a document that the model sees."""
        return text[: self.max_chars] if self.max_chars else text

    def own_mark(self, lang: str) -> str | None:
        """Of a rubric of the user's that has one."""
        return own_mark(load(self.name, lang, self.path, self.folder))

    def request(self, text: str, lang: str, **more: str) -> Request:
        template = load(self.name, lang, self.path, self.folder)
        if self.paper_exact:
            return Request(prompt=template.replace(MARKER, text), **RELEASED_SAMPLING)
        template = template.replace(MARKER, "{text}")
        fence = template.partition("{text}")[2].lstrip("\n").partition("\n")[0]
        fences = [fence] if fence.startswith("[") else []
        # A document can carry a score or the end of its own fence; neither may look like ours.
        text = without_marks(self.shown(text), *fences, own=own_mark(template))
        used = {key: value for key, value in more.items() if "{" + key + "}" in template}
        messages = [{"role": "user", "content": fill(template, text=text, **used)}]
        return Request(messages, response_format=self.response_format)

    def hashes(self) -> dict[str, str]:
        return {lang: hash_text(load(self.name, lang, self.path, self.folder)) for lang in PROMPT_LANGUAGES}


@cache
def load(name: str, lang: str, path: str | None, folder: str | None) -> str:
    own = Path(folder, f"{name}.{lang}.txt") if folder else None
    if path is None and own is not None and own.exists():
        path = str(own)
    template = load_prompt("edu_filter", name, lang, path=path)
    if MARKER not in template and "{text}" not in template:
        raise BadInput(f"{path or name}: the prompt has no place for the document: {MARKER} or {{text}}")
    return template


def documents(path: str) -> str:
    """A folder of files is read file by file; a saved dataset is a folder too, but one of rows."""
    folder = Path(path)
    saved = (folder / "state.json").exists() or (folder / "dataset_dict.json").exists()
    return str(folder / "*") if folder.is_dir() and not saved else path


def asked_when_released(rows: int, batch_size: int) -> int:
    """The released loop stops before its last batch, full or not."""
    return max(0, rows - 1) // batch_size * batch_size


def document_of(row: dict, column: str, also_empty: bool = False) -> str:
    text = need(row, column)
    if not text.strip() and not also_empty:
        raise Reject("the document has no text")
    return text


def count_documents(path: str, split: str | None) -> int:
    return sum(count_rows(file, split) for file in input_files(path))


def prompts_of(args: argparse.Namespace, name: str) -> Prompts:
    if args.prompt_folder and not Path(args.prompt_folder).is_dir():
        raise BadInput(f"--prompt_folder {args.prompt_folder}: no such folder")
    return Prompts(name, args.lang, args.prompt_path, args.prompt_folder, args.max_chars, args.paper_exact)


def json_and_rows(save_path: str) -> tuple[Path | None, str]:
    """(the released file, the rows): only a path that ends in .json asks for the first."""
    return (Path(save_path), f"{save_path}.rows.jsonl") if save_path.endswith(".json") else (None, save_path)
