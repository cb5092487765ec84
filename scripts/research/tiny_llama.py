"""A tiny Llama with random weights: exercises every path of a language model in seconds, and says nothing of sense.

    python scripts/research/tiny_llama.py FOLDER [--seed 0]

Its tokenizer is a byte-level BPE trained here on the names of the Moji world, and its logits follow how often a word
occurs there, so an answer is a word salad (" red round penguin") in which strings end after a few words. Real are the
file formats, the chat template, the special tokens and the shapes; vLLM, transformers and llguidance all read it.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import olmv  # noqa: F401  (the torchvision guard, before transformers)

REPO = Path(__file__).resolve().parents[2]
VOCABULARY = 2000
CONTEXT = 4096
# vLLM on a CPU knows heads of 32 and more
WIDTH, LAYERS, HEADS = 64, 4, 2
BOS, EOS, PAD = "<s>", "</s>", "<pad>"
SPECIAL = (BOS, EOS, PAD, "<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
SENTENCES = ("a {} {} seen from the {}", "the {} {} with a long tail on the {}", "two small {} {} on the {} of a road")
LOOKS = ("red", "round", "green", "wooden", "shiny", "striped", "yellow", "soft", "tall", "bright", "blue", "white")
SIDES = ("left", "right", "front", "top", "edge", "side", "ground", "background")

# Shares of the next token: the quote ends a string after a handful of words, the end of text an unconstrained answer
# after about forty; digits and other punctuation are rare.
QUOTE_SHARE, END_SHARE, ODD_SHARE = 0.12, 0.025, 1e-4


def build(folder: str | Path, seed: int = 0) -> Path:
    """Write the model and its tokenizer into `folder`, the same files for the same seed.

    Returns:
        The folder.
    """
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    corpus = sentences()
    bpe = train_tokenizer(corpus)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=list(SPECIAL[3:]),
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    config = LlamaConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.1,
        tie_word_embeddings=False,
        bos_token_id=SPECIAL.index(BOS),
        eos_token_id=SPECIAL.index(EOS),
        pad_token_id=SPECIAL.index(PAD),
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).to(torch.float32).eval()
        # Llama's output layer has no bias. A dimension that is the same for every token, and that no layer reads or
        # writes, makes its column of the output layer one.
        model.model.embed_tokens.weight[:, 0] = 1.0
        for layer in model.model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            for reads in (attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj):
                reads.weight[:, 0] = 0.0
            for writes in (attention.o_proj, mlp.down_proj):
                writes.weight[0] = 0.0
        hidden = model.model(torch.randint(config.vocab_size, (64, 32))).last_hidden_state.flatten(0, 1)
        average = model.lm_head(hidden).mean(0)
        model.lm_head.weight[:, 0] += (log_shares(bpe, corpus) - average) / hidden[:, 0].mean()
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentences() -> list[str]:
    """The text that the tokenizer learns: every object's name in three sentences."""
    described = json.loads((REPO / "olmv/moji/moji_objects.json").read_text(encoding="utf-8"))
    names = [item["name"] for item in described["objects"]]
    return [
        sentence.format(LOOKS[(k + j) % len(LOOKS)], name, SIDES[(k + j) % len(SIDES)])
        for k, name in enumerate(names)
        for j, sentence in enumerate(SENTENCES)
    ]


def train_tokenizer(corpus: Sequence[str]) -> Tokenizer:
    """A byte-level BPE that can spell everything and knows the words of `corpus`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def log_shares(tokenizer: Tokenizer, corpus: Sequence[str]) -> torch.Tensor:
    """How likely each token should be, as logits [V]: whole words by their frequency, all else rare."""
    counts: Counter[str] = Counter(word for sentence in corpus for word in sentence.split())
    size = tokenizer.get_vocab_size()
    shares = torch.full((size,), ODD_SHARE / size)
    words = [(tokenizer.token_to_id("Ġ" + word), count) for word, count in counts.items()]
    # roots, or every second word would be an article
    weights = {number: count**0.3 for number, count in words if number is not None}
    for number, weight in weights.items():
        shares[number] = weight / sum(weights.values())
    shares[tokenizer.token_to_id('"')] = QUOTE_SHARE
    shares[SPECIAL.index(EOS)] = END_SHARE
    return shares.log()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where to save it; made if need be")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    asked = parser.parse_args()
    print(build(asked.folder, asked.seed))


if __name__ == "__main__":
    main()
