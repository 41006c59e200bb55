"""Makes a language model of random weights, small enough to be served on one CPU core.

Run by the interpreter of an environment with vLLM: `python tiny_model.py FOLDER`. What it says
makes no sense, but it takes prompts and gives tokens as any other model does.
"""

import sys
from pathlib import Path

HIDDEN = 256
LAYERS = 4
HEAD = 64
VOCABULARY = 2048


def make(folder: Path) -> None:
    """Write weights, configuration and tokenizer below a folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(7)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "</s>"]
    pairs = [first + second for first in letters for second in letters]
    words = [*special, *letters, *pairs][:VOCABULARY]
    vocabulary = {word: number for number, word in enumerate(words)}
    merges = [(word[0], word[1]) for word in words[len(special) + len(letters) :]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HIDDEN // HEAD,
        num_key_value_heads=HIDDEN // HEAD,
        max_position_embeddings=2048,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
