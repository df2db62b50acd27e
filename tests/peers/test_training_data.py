"""WebR's training data goes into TRL's trainer as it is. Needs the extra `train`."""

import pytest
from datasets import load_dataset

from common.llm.standin import standin_server
from tests.superfiltering.conftest import make_model, make_tokenizer
from tests.webr.conftest import run, run_all  # noqa: F401

pytestmark = pytest.mark.peers

CHAT = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


def test_trl_trains_on_the_messages(tmp_path, run_all):  # noqa: F811
    from trl import SFTConfig, SFTTrainer

    with standin_server() as url:
        rows = run_all(tmp_path, url)
    data = load_dataset(str(tmp_path / "data"), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(data) == len(rows)
    tokenizer = make_tokenizer(bos=False)
    tokenizer.chat_template = CHAT
    tokenizer.pad_token = tokenizer.eos_token
    settings = SFTConfig(
        output_dir=str(tmp_path / "model"),
        max_length=64,
        max_steps=2,
        per_device_train_batch_size=2,
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
    )
    trainer = SFTTrainer(make_model("gpt2", len(tokenizer)), settings, train_dataset=data, processing_class=tokenizer)
    result = trainer.train()
    assert result.global_step == 2 and result.training_loss > 0
