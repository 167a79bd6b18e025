"""Words and normals of random streams from an independent implementation on Python's big integers.

Writes packages/core/golden/philox.json. Run: python3 tools/golden/philox.py
"""
import json
import pathlib
from statistics import NormalDist

M0, M1, W0, W1, MASK = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85, 0xFFFFFFFF


def philox(counter, key):
    """One block of Philox4x32-10, as the paper writes it."""
    x, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = M0 * x[0], M1 * x[2]
        x = [(p1 >> 32) ^ x[1] ^ k[0], p1 & MASK, (p0 >> 32) ^ x[3] ^ k[1], p0 & MASK]
        k = [(k[0] + W0) & MASK, (k[1] + W1) & MASK]
    return x


def split(key, name):
    units = name.encode("utf-16-le")
    units = [int.from_bytes(units[i : i + 2], "little") for i in range(0, len(units), 2)]
    for at in range(0, max(1, len(units)), 4):
        part = units[at : at + 4]
        padded = part + [0] * (4 - len(part))
        block = philox([padded[0] | padded[1] << 16, padded[2] | padded[3] << 16, len(part), 0x73706C74], key)
        key = block[:2]
    return key


def words(seed, names, count):
    seed &= (1 << 64) - 1
    key = split([seed & MASK, seed >> 32], "seed")
    for name in names:
        key = split(key, name)
    return [word for block in range(-(-count // 4)) for word in philox([block, 0, 0, 0], key)][:count]


CASES = [(0, []), (1, ["sampler"]), (-1, []), (2**53 - 1, ["a", "b"]), (42, ["sampler", "noise", "1000"]), (7, ["é😀"]), (7, [""])]
assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
records = []
for seed, names in CASES:
    drawn = words(seed, names, 6)
    normals = [NormalDist().inv_cdf((word + 0.5) / 2**32) for word in drawn]
    records.append({"seed": seed, "names": names, "words": drawn, "normals": normals})
target = pathlib.Path(__file__).parents[2] / "packages/core/golden/philox.json"
target.parent.mkdir(exist_ok=True)
target.write_text(json.dumps(records, ensure_ascii=True) + "\n")
