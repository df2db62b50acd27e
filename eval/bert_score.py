"""BERTScore: how near the tokens of an answer and of a gold are to each other in the eyes of an encoder.

score = bert_scorer("models/roberta-large", layer=17)
score("The answer.", ["A gold.", "Another."])          # 0.94, of the nearest gold

As published, without weights for rare words and without rescaling: each token is paired with the likest of the other
text, its special tokens included; precision and recall are the means of these cosines over a text's own words.
"""

from collections.abc import Callable

from common.errors import BadInput

LAYER = 17  # of roberta-large, which the published figures are of


def bert_scorer(model_name_or_path: str, layer: int = LAYER) -> Callable[[str, list[str]], float]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer, model = (
            AutoTokenizer.from_pretrained(model_name_or_path),
            AutoModel.from_pretrained(model_name_or_path),
        )
    except (OSError, ValueError) as error:
        raise BadInput(f"{model_name_or_path}: no encoder can be loaded from there: {error}") from None
    if not 0 <= layer <= model.config.num_hidden_layers:
        raise BadInput(f"--bert_layer {layer}: {model_name_or_path} has {model.config.num_hidden_layers} layers")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.eval().to(device)
    longest = min(tokenizer.model_max_length, 512)

    @torch.inference_mode()
    def states(text: str) -> torch.Tensor:
        batch = tokenizer(text.strip(), truncation=True, max_length=longest, return_tensors="pt").to(device)
        hidden = model(**batch, output_hidden_states=True).hidden_states[layer][0].float()
        return torch.nn.functional.normalize(hidden, dim=-1)  # with the tokens that begin and end every text

    def f1(answer: torch.Tensor, gold: torch.Tensor) -> float:
        near = answer @ gold.T
        if min(near.shape) < 3:  # one of them is empty
            return 0.0
        precision, recall = near.max(1).values[1:-1].mean().item(), near.max(0).values[1:-1].mean().item()
        return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0

    def score(answer: str, golds: list[str]) -> float:
        found = states(answer)
        return max(f1(found, states(gold)) for gold in golds)

    return score
