"""Load a tokenizer and read a few texts with it, under limits: run by `tokenizer_check` as a process of its own.

Imports nothing of olmv, so that it starts in a tenth of a second. Arguments: `file` or `folder`, and the path. The last
line of standard output is `fit`, or why not.
"""

import contextlib
import sys

MAX_DATA_BYTES = 4 * 2**30
MAX_CPU_S = 30
MAX_TOKENS_PER_BYTE = 8
SPARE_TOKENS = 1024
TEXTS = ("", "a dog", "Ein Hund, 2 Gitarren!", "吉他 🎸", "a" * 2000, "a b " * 500, " " * 500 + "!" * 500)


def probe(kind: str, path: str) -> str:
    """Return `fit`, or why the tokenizer of this file or folder is none that can be used."""
    if kind == "file":
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(path)
        lengths = [len(tokenizer.encode(text).ids) for text in TEXTS]
    else:
        from transformers import AutoTokenizer

        auto = AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=True)
        lengths = [len(auto(text)["input_ids"]) for text in TEXTS]
    for text, length in zip(TEXTS, lengths, strict=True):
        if length > MAX_TOKENS_PER_BYTE * len(text.encode()) + SPARE_TOKENS:
            return f"it makes {length:,} tokens of a text of {len(text)} letters"
    return "fit"


def limit() -> None:
    """Bound this process; a system without these limits goes without."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))


if __name__ == "__main__":
    limit()
    try:
        verdict = probe(*sys.argv[1:3])
    except BaseException as error:  # a panic of the Rust library is a BaseException
        verdict = " ".join(str(error).split())[:200] or type(error).__name__
    print(verdict)
