"""The hot loop against the library's own logits: families, large vocabularies, batches, spans, memory that ends."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPTJConfig,
    GPTJForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from common.errors import BadInput, CommonError
from superfiltering import output_head, packed_linear, token_losses
from superfiltering.token_losses import Piece, load_scorer, prepare_scorer, span_losses
from tests.oracles import ifd as oracle
from tests.superfiltering.conftest import make_model, make_tokenizer

SMALL = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64, "initializer_range": 0.5,
}  # fmt: skip


def family(name: str, vocabulary: int = 300):
    torch.manual_seed(1)
    if name == "gptj":  # its head has a bias
        config = GPTJConfig(vocab_size=vocabulary, n_embd=32, n_layer=1, n_head=2, n_positions=64, rotary_dim=8)
        model = GPTJForCausalLM(config).eval()
        torch.nn.init.normal_(model.lm_head.bias)
        return model
    options = {"vocab_size": vocabulary} | SMALL
    if name == "gemma2":
        return Gemma2ForCausalLM(Gemma2Config(**options, final_logit_softcapping=3.0)).eval()
    if name == "cohere":
        return CohereForCausalLM(CohereConfig(**options, logit_scale=0.3)).eval()
    if name == "granite":
        return GraniteForCausalLM(GraniteConfig(**options, logits_scaling=4.0)).eval()
    return LlamaForCausalLM(LlamaConfig(**options)).eval()


def pieces_of(vocabulary: int, seed: int, count: int = 5) -> list[Piece]:
    draw = torch.Generator().manual_seed(seed)
    pieces = []
    for length in torch.randint(2, 30, (count,), generator=draw).tolist():
        ids = torch.randint(0, vocabulary, (length,), generator=draw).tolist()
        middle = max(1, length // 2)
        pieces.append(Piece(ids, [(1, middle), (middle, length)]))
    return pieces


def expected_losses(model, piece: Piece) -> list[float]:
    losses = oracle.token_losses(model, piece.ids)
    parts = [losses[start - 1 : end - 1] for start, end in piece.spans]
    return [math.fsum(part) / len(part) if part else math.nan for part in parts]


def assert_same(found, expected, tolerance=1e-4):
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-5)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ["llama", "gptj", "gemma2", "cohere", "granite"])
def test_the_losses_are_those_of_the_models_own_logits(name, packed, monkeypatch):
    if not packed:
        for module in (output_head, token_losses):
            monkeypatch.setattr(module, "can_pack", lambda dtype: False)
    model = family(name)
    scorer = prepare_scorer(copy.deepcopy(model), make_tokenizer(bos=False))
    pieces = pieces_of(300, seed=2)
    assert_same(span_losses(scorer, pieces, 40), [expected_losses(model, piece) for piece in pieces])


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_vocabulary_of_several_tiles(dtype):
    model = family("llama", vocabulary=2 * output_head.CPU_TILE_WORDS + 100)
    scorer = prepare_scorer(copy.deepcopy(model), make_tokenizer(bos=False), dtype=dtype)
    pieces = pieces_of(2 * output_head.CPU_TILE_WORDS + 100, seed=3)
    tolerance = 1e-4 if dtype == "fp32" else 0.02
    assert_same(span_losses(scorer, pieces, 60), [expected_losses(model, piece) for piece in pieces], tolerance)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.integers(1, 200))
def test_how_pieces_are_batched_changes_no_loss(seed, batch_tokens):
    model = make_model("gpt2", 300)
    scorer = prepare_scorer(copy.deepcopy(model), make_tokenizer(bos=False))
    pieces = pieces_of(300, seed, count=9)
    assert_same(span_losses(scorer, pieces, batch_tokens), [expected_losses(model, piece) for piece in pieces])


def test_an_empty_span_has_no_loss_and_no_piece_is_no_work():
    scorer = prepare_scorer(make_model("gpt2", 300), make_tokenizer(bos=False))
    (losses,) = span_losses(scorer, [Piece([1, 2, 3], [(2, 2), (1, 3)])], 64)
    assert math.isnan(losses[0]) and losses[1] > 0
    assert all(math.isnan(loss) for loss in span_losses(scorer, [Piece([1], [(1, 1)])], 64)[0])
    assert span_losses(scorer, [], 64) == []


class Doubled(LlamaForCausalLM):
    """Makes its logits in a way that nobody has told us."""

    def forward(self, *arguments, **options):
        found = super().forward(*arguments, **options)
        found.logits = found.logits * 2
        return found


def test_a_family_with_logits_of_its_own_is_refused_and_not_scored_wrongly():
    model = Doubled(family("llama").config).eval()
    with pytest.raises(BadInput, match="in a way not known here"):
        prepare_scorer(model, make_tokenizer(bos=False))


def test_a_slow_tokenizer_is_refused(tmp_path, model_folder, monkeypatch):
    tokenizer = make_tokenizer(bos=False)
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    monkeypatch.setattr(token_losses.AutoTokenizer, "from_pretrained", lambda *_, **__: tokenizer)
    with pytest.raises(BadInput, match="a fast tokenizer is needed"):
        load_scorer(str(model_folder))


def test_a_batch_that_does_not_fit_is_halved_and_a_piece_that_does_not_is_named(monkeypatch):
    model = make_model("gpt2", 300)
    scorer = prepare_scorer(copy.deepcopy(model), make_tokenizer(bos=False))
    real, most = token_losses._batch_losses, 2

    def small_memory(scorer, pieces):
        if len(pieces) > most:
            raise torch.cuda.OutOfMemoryError
        return real(scorer, pieces)

    monkeypatch.setattr(token_losses, "_batch_losses", small_memory)
    monkeypatch.setattr(token_losses, "_on_cores", lambda scorer, batches: pytest.fail("not on a GPU"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    on_gpu = scorer._replace(device=torch.device("cuda"))
    monkeypatch.setattr(token_losses, "_batch_losses", lambda _, pieces: small_memory(scorer, pieces))
    pieces = pieces_of(300, seed=5, count=11)
    assert_same(span_losses(on_gpu, pieces, 10_000), [expected_losses(model, piece) for piece in pieces])
    most = 0
    with pytest.raises(CommonError, match="tokens do not fit on cuda: lower --max_length"):
        span_losses(on_gpu, pieces, 10_000)


@pytest.mark.parametrize("missing", ["_linear_pointwise", "_reorder_linear_weight"])
def test_without_one_of_torchs_private_operations_nothing_is_packed(missing, monkeypatch):
    class Without:
        def __getattr__(self, name):
            if name == missing:
                raise AttributeError(name)
            return getattr(torch.ops.mkldnn, name)

    class Operations:
        mkldnn = Without()

    class Torch:
        ops, float32 = Operations(), torch.float32
        backends = torch.backends

    monkeypatch.setattr(packed_linear, "torch", Torch())
    assert not packed_linear.can_pack(torch.float32)
