"""WebR step 1: who may have written each page?

    python webr/step1_infer_author.py --data_path pages.json --save_path authors.jsonl --base_url http://127.0.0.1:8000/v1

in   [{"webpage": "..."}]
out  each row with "lang" and "author", a profile of at most 30 words
"""

import argparse
import re
import zlib

from common.errors import Reject
from common.llm import Answer, Request, add_llm_arguments, ask_rows
from common.prompts import fill, load_prompt
from common.rows import read_rows
from common.step import Step, add_step_arguments, need, run_main
from webr.clean_up import clean_request, is_refusal
from webr.languages import NAMES, PROMPT_LANGUAGES, detect_language
from webr.near_duplicates import VOCABULARY, find_near_duplicates


def language_of(page: str, lang: str) -> str:
    return detect_language(page) if lang == "auto" else lang


def prompt_for(name: str, lang: str, path: str | None = None) -> str:
    """Our prompt in the language of the page, in English where we have none."""
    return load_prompt("webr", name, lang if lang in PROMPT_LANGUAGES else "en", path)


def word_ids(page: str) -> list[int]:
    """Words as numbers, or characters of a script without spaces: enough to see that two pages are one."""
    words = re.findall(r"[\u3040-\u30ff\u3400-\u9fff]|\w+", page.lower())
    return [zlib.crc32(word.encode("utf-8", "surrogatepass")) % VOCABULARY for word in words]


def pages_once(args: argparse.Namespace) -> str:
    """Set near-duplicate pages aside before paying for them; the file that holds the rest."""
    path = f"{args.save_path}.pages.jsonl"
    with Step(args, [args.data_path], path) as step:
        rows = read_rows(args.data_path, args.split)
        repeats = find_near_duplicates(word_ids(str(row.get("webpage"))) for row in rows)
        for index, row in step.rows():
            if repeats[index] >= 0:
                step.reject(index, f"near-duplicate of page {repeats[index]}", row)
            else:
                step.write(row)
    return path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_path", required=True, help="pages, in any of the known formats")
    parser.add_argument("--save_path", required=True, help="pages with authors (.jsonl)")
    parser.add_argument("--lang", default="auto", help="language of the pages: en, zh, es, pt, ..., auto (default)")
    parser.add_argument("--prompt_path", help="a prompt file of your own, with {page} and {language}")
    parser.add_argument("--dedup_pages", action="store_true", help="leave out near-duplicates of earlier pages")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.6, top_p=0.9, max_tokens=4096)
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    def make_request(row: dict) -> Request:
        page = need(row, "webpage")
        if not page.strip():
            raise Reject("the page is empty")
        lang = language_of(page, args.lang)
        text = fill(prompt_for("author", lang, args.prompt_path), page=page, language=NAMES.get(lang, lang))
        return Request(messages=[{"role": "user", "content": text}])

    def use_answer(row: dict, answer: Answer) -> dict:
        author = clean_request(answer.text)
        if not author or is_refusal(author):
            raise Reject("no author: empty or a refusal")
        if answer.finish_reason == "length":
            raise Reject("the author is cut off")
        return row | {"lang": language_of(row["webpage"], args.lang), "author": author}

    source = pages_once(args) if args.dedup_pages else args.data_path
    with Step(args, [source], args.save_path) as step:
        ask_rows(step, args, make_request, use_answer)


if __name__ == "__main__":
    run_main(main)
