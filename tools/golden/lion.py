"""Golden values for @updraft/lion: the numbers of the paper's algorithm worked by hand, and an implementation in NumPy.

Run with a Python that has NumPy:  python tools/golden/lion.py > packages/update-rules/lion/golden/lion.json
"""

import json
import sys

import numpy as np

FORMATS = {None: lambda x: x, "float32": np.float32, "float16": np.float16}


def bfloat16(x):
    """Round to bfloat16, ties to even, kept in float32."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32)


def keep(x, kind):
    if kind == "bfloat16":
        return bfloat16(x).astype(np.float64)
    return np.asarray(FORMATS[kind](x), np.float64)


def lion(params, gradients, learningRate=1e-4, beta1=0.9, beta2=0.99, weightDecay=0.0, decayMask=None,
         momentumDtype=None, tied=False):
    """As lion_pytorch.py of google/automl: decay, step along the sign, then the momentum."""
    if tied:
        beta2 = beta1
    params = {k: np.asarray(v, np.float64) for k, v in params.items()}
    m = {k: np.zeros_like(v) for k, v in params.items()}
    for step in gradients:
        for name, p in params.items():
            g = np.asarray(step[name], np.float64)
            if decayMask is None or name in decayMask:
                p = p * (1 - learningRate * weightDecay)
            update = m[name] * beta1 + g * (1 - beta1)
            params[name] = p - learningRate * np.sign(update)
            m[name] = keep(m[name] * beta2 + g * (1 - beta2), momentumDtype)
        yield dict(params), dict(m)


def nested(values):
    return {k: np.asarray(v).tolist() for k, v in values.items()}


def case(name, options, params, gradients, tolerance, steps):
    expected = []
    for step, (p, m) in enumerate(lion(params, gradients, **options), 1):
        if step in steps:
            expected.append({"step": step, "params": nested(p), "state": {f"momentum/{k}": v.tolist() for k, v in m.items()}})
    return {"name": name, "options": options, "tolerance": tolerance, "params": nested(params),
            "gradients": [nested(g) for g in gradients], "expected": expected}


rng = np.random.default_rng(102)
shapes = {"w": (2, 3), "b": (3,)}


def draw(scale=1.0):
    return {k: np.round(rng.normal(size=s) * scale, 3) for k, s in shapes.items()}


start, steps = draw(), [draw() for _ in range(12)]
# Rows without gradient, as unused rows of an embedding have, and one that is zero now and then.
for index, g in enumerate(steps):
    g["w"][0, 0] = 0
    if index % 3:
        g["b"][1] = 0
by_hand = {
    "name": "two steps by hand",
    "options": {"learningRate": 0.1, "weightDecay": 0.01},
    "tolerance": 1e-6,
    "params": {"w": [1, -2]},
    "gradients": [{"w": [0.5, -0.1]}, {"w": [-0.02, 0.02]}],
    "expected": [
        {"step": 1, "params": {"w": [0.899, -1.898]}, "state": {"momentum/w": [0.005, -0.001]}},
        {"step": 2, "params": {"w": [0.798101, -1.996102]}, "state": {"momentum/w": [0.00475, -0.00079]}},
    ],
}
last = {1, 2, 6, 12}
cases = [
    by_hand,
    case("defaults", {}, start, steps, 1e-6, last),
    case("all numbers", {"learningRate": 0.05, "beta1": 0.6, "beta2": 0.8, "weightDecay": 0.7}, start, steps, 1e-5, last),
    case("decay of matrices only", {"learningRate": 0.03, "weightDecay": 2.0, "decayMask": ["w"]}, start, steps, 1e-5, last),
    case("tied", {"learningRate": 0.02, "beta1": 0.95, "tied": True}, start, steps, 1e-5, last),
    case("momentum in bfloat16", {"learningRate": 0.02, "momentumDtype": "bfloat16"}, start, steps, 1e-5, last),
]
json.dump(
    {"contract": "update-rule", "plugin": "lion",
     "origin": "tools/golden/lion.py: algorithm 2 of Chen et al. 2023 by hand, and NumPy in float64 after lion_pytorch.py of google/automl",
     "cases": cases},
    sys.stdout, separators=(",", ":"))
