"""Superfiltering.D: of the rows with the highest IFD keep few that stand for all (greedy facility location).

    python superfiltering/step3_select_diverse.py --json_data_path alpaca_with_ifd.json \
        --json_save_path alpaca_diverse.json

in   the rows of step 2
out  2 % of them, of the best 20 %, in the order they were picked (of Alpaca: 1,040 of 10,400)

The embeddings lie in <json_save_path>.embeddings.npz; the same command with another --fla_num finds them there.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common import manifest
from common.conversations import as_messages
from common.errors import BadInput, BadValue
from common.program import make_parser, progress, run_main
from common.rows import replace_synced
from common.step import Step, add_step_arguments, need, step_options
from superfiltering.facility_location import facility_location
from superfiltering.selection import best_first
from superfiltering.step3_select import rows_at, score_of


def text_to_embed(row: dict, emb_type: str, paper_exact: bool) -> str:
    """The released code gives an empty input a line of its own; only a row without the key is spared it."""
    if "messages" in row or "conversations" in row:
        wanted = {"whole": lambda role: True, "instruction": lambda role: role != "assistant"}
        wanted["response"] = lambda role: role == "assistant"
        return "\n".join(turn["content"] for turn in as_messages(row) if wanted[emb_type](turn["role"]))
    if emb_type == "response":
        return need(row, "output")
    instruction, more = need(row, "instruction"), row.get("input")
    question = f"{instruction}\n{more}" if more or (paper_exact and more is not None) else instruction
    return question if emb_type == "instruction" else f"{question}\n{need(row, 'output')}"


def embed(texts: list[str], model_name: str, batch_size: int, device: str | None) -> np.ndarray:
    """Mean of the token states, at unit length; texts of like length go together."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_name)
        model = AutoModel.from_pretrained(model_name).eval().to(device)
    except (OSError, ValueError) as error:
        raise BadInput(f"{model_name}: cannot be loaded as a sentence encoder: {error}") from error
    longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512))
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    vectors = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in progress(range(0, len(texts), batch_size), desc="embedding", unit="batch"):
            batch = order[start : start + batch_size]
            inputs = tokenizer(
                [texts[index] for index in batch],
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            ).to(device)
            mask = inputs["attention_mask"][:, :, None].float()
            means = (model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1).clamp_min(1e-9)
            vectors[batch] = torch.nn.functional.normalize(means.float(), dim=1).cpu().numpy()
    return vectors


def embed_once(texts: list[str], path: Path, args: argparse.Namespace) -> np.ndarray:
    """The embeddings of an earlier run if they are of the same texts and model."""
    key = manifest.hash_text(json.dumps([args.emb_model, texts]))
    if path.exists():
        with np.load(path) as saved:
            if str(saved["key"]) == key:
                return saved["vectors"]
    vectors = embed(texts, args.emb_model, args.batch_size, args.device)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        np.savez(file, key=key, vectors=vectors)
    replace_synced(part, path)
    return vectors


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--json_data_path", required=True, help="rows with scores, from step 2")
    parser.add_argument("--json_save_path", required=True, help="the rows to keep")
    group = parser.add_argument_group("by difficulty")
    group.add_argument("--key_name", default="ifd_ppl", help="score to rank by")
    group.add_argument("--ifd_num", type=int, help="rows that go on (default: 20 %% of all, of Alpaca 10400)")
    group.add_argument("--ifd_lower", type=float, default=0.0, help="only scores of at least this")
    group.add_argument("--ifd_lupper", "--ifd_upper", type=float, default=1.0, help="only below this")
    group = parser.add_argument_group("by diversity")
    group.add_argument("--fla_num", type=int, help="rows to keep (default: 2 %% of all, of Alpaca 1040)")
    group.add_argument(
        "--emb_model", default="sentence-transformers/all-MiniLM-L6-v2", help="sentence encoder: a name or a folder"
    )
    group.add_argument("--emb_type", choices=["whole", "instruction", "response"], default="whole")
    group.add_argument("--batch_size", type=int, default=64, help="texts embedded together")
    group.add_argument(
        "--similarity", choices=["euclidean", "cosine"], default="euclidean", help="(the paper's: euclidean)"
    )
    group.add_argument("--device", help="cpu, cuda (default: cuda if there is one)")
    group.add_argument("--paper_exact", action="store_true", help="embed an empty input as a line, as released")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with Step([args.json_data_path], args.json_save_path, **step_options(args), allow_nan=True) as step:
        places, scores = [], []
        for index, row in step.rows():
            try:
                score = score_of(row, args.key_name)
                text_to_embed(row, args.emb_type, args.paper_exact)
            except BadValue as why:
                step.reject(*step.bad_row(index, why, row))
                continue
            places.append(index)
            scores.append(score if score is not None and score >= args.ifd_lower else None)
        ifd_num, fla_num = args.ifd_num or len(scores) // 5, args.fla_num or len(scores) // 50
        difficult = best_first(scores, args.ifd_lupper)[:ifd_num]
        if not 1 <= fla_num <= len(difficult):
            raise BadInput(
                f"{args.json_data_path}: {fla_num:,} to keep of {len(difficult):,} rows that qualify; name --fla_num"
            )
        rows = rows_at(args.json_data_path, [places[at] for at in difficult], args.split)
        texts = [text_to_embed(row, args.emb_type, args.paper_exact) for row in rows]
        vectors = embed_once(texts, Path(f"{args.json_save_path}.embeddings.npz"), args)
        for place in facility_location(vectors, fla_num, args.similarity, args.device or "cpu"):
            step.write(rows[place])
        not_kept = len(scores) - fla_num
        step.counts.update({"difficult": len(difficult), "kept": fla_num, "not kept": not_kept, "done": not_kept})


if __name__ == "__main__":
    run_main(main)
