"""Golden values for @updraft/auon: the card's numbers, and an implementation in NumPy in float64 after auon/optimizer.py of
ryyzn9/AuON, with the paper's normalised form beside it.

Run with a Python that has NumPy:  python tools/golden/auon.py
It writes golden/auon.json, golden/hybrid-auon.json and golden/auon.cases.json (functions, for `updraft probe --cases`).
"""

import json
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parents[2] / "packages/update-rules/auon/golden"


def cosh_rms(x, gamma=1.0):
    return np.sqrt(np.mean(np.cosh(gamma * x) ** 2))


def newton_schulz(x, steps):
    a, b, c = 3.4445, -4.7750, 2.0315
    shape = x.shape
    x = x.reshape(shape[0], -1)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).reshape(shape)


def step(u, hybrid, normalize, gamma, steps):
    """What the learning rate is multiplied by."""
    if np.linalg.norm(u) == 0:
        return np.zeros_like(u)
    if hybrid and u.ndim >= 2:
        g = newton_schulz(u, steps)
        x = g if normalize else g / (np.linalg.norm(g) + 1e-7)
    else:
        g = u
        x = g / (np.linalg.norm(g) + 1e-7)
    return (x if normalize else g) / (cosh_rms(x, gamma) + 1e-8)


def run(hybrid, params, gradients, learningRate=0.055, momentum=0.95, gamma=None, normalize=True, weightDecay=0.0,
        decayMultiplier={}, matricesOnly=True, nsSteps=1, fallback=None):
    gamma = gamma if gamma is not None else (1.0 if normalize else 1.5)
    rate = (lambda t: learningRate) if not isinstance(learningRate, dict) else (
        lambda t: learningRate["from"] + (learningRate["to"] - learningRate["from"]) * min(1, (t - 1) / (learningRate["steps"] - 1)))
    adam = {"learningRate": 0.008, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-10}
    if fallback is not None:
        adam = {"learningRate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, **fallback["options"]}
    params = {k: np.array(v, np.float64) for k, v in params.items()}
    m = {k: np.zeros_like(v) for k, v in params.items()}
    v = {k: np.zeros_like(p) for k, p in params.items()}
    rows = []
    for t, grads in enumerate(gradients, 1):
        for k, p in params.items():
            g = np.array(grads[k], np.float64)
            if p.ndim >= 2 or not matricesOnly:
                lr = rate(t)
                p = p * (1 - lr * weightDecay * decayMultiplier.get(k, 1))
                m[k] = m[k] + (1 - momentum) * (g - m[k])
                u = g + momentum * (m[k] - g)
                params[k] = p - lr * step(u, hybrid, normalize, gamma, nsSteps)
            else:
                m[k] = adam["beta1"] * m[k] + (1 - adam["beta1"]) * g
                v[k] = adam["beta2"] * v[k] + (1 - adam["beta2"]) * g**2
                mean, var = m[k] / (1 - adam["beta1"] ** t), v[k] / (1 - adam["beta2"] ** t)
                params[k] = p - adam["learningRate"] * mean / (np.sqrt(var) + adam["epsilon"])
        rows.append(({k: p.copy() for k, p in params.items()}, {k: p.copy() for k, p in m.items()}))
    return rows


def numbers(value):
    return [numbers(x) for x in value] if isinstance(value, list) else float(f"{value:.9g}")


def case(hybrid, name, options, params, gradients, tolerance=1e-5, keep=None):
    rows = run(hybrid, params, gradients, **options)
    expected = []
    for s in keep or sorted({1, 2, len(rows)} & set(range(1, len(rows) + 1))):
        now, m = rows[s - 1]
        matrices = [k for k, p in now.items() if p.ndim >= 2 or not options.get("matricesOnly", True)]
        expected.append({"step": s, "params": {k: numbers(p.tolist()) for k, p in now.items()},
                         "state": {f"matrices/momentum/{k}": numbers(m[k].tolist()) for k in matrices}})
    return {"name": name, "options": options, "tolerance": tolerance, "params": params, "gradients": gradients,
            "expected": expected}


random = np.random.default_rng(2)
draw = lambda shape: np.round(random.normal(size=shape), 3).tolist()
SHAPES = {"wide": (2, 4), "tall": (3, 2), "bias": (2,), "scale": ()}
START = {k: draw(s) for k, s in SHAPES.items()}
GRADS = [{k: draw(s) for k, s in SHAPES.items()} for _ in range(11)]
GRADS[4]["tall"] = np.zeros((3, 2)).tolist()
KERNEL = {"kernel": (3, 2, 2, 2)}
kernel = {k: draw(s) for k, s in KERNEL.items()}
kernel_grads = [{k: draw(s) for k, s in KERNEL.items()} for _ in range(3)]
zero = {"w": [[0.0, 0.0], [0.0, 0.0]]}
MATRIX = {"w": [[1.0, 2.0], [3.0, 4.0]]}
DIAGONAL = [{"w": [[3.0, 0.0], [0.0, 4.0]]}]


def by_hand(name, options, gradients, update):
    expected = (np.array(MATRIX["w"]) - np.array(update)).tolist()
    return {"name": name, "options": {"learningRate": 1, "momentum": 0, **options}, "tolerance": 1e-6, "params": MATRIX,
            "gradients": gradients, "expected": [{"step": 1, "params": {"w": numbers(expected)}}]}


def file(plugin, hybrid, hand):
    make = lambda name, options, params=START, gradients=GRADS, **rest: case(hybrid, name, options, params, gradients, **rest)
    further = [] if not hybrid else [
        make("the code's five iterations", {"normalize": False, "nsSteps": 5, "learningRate": 0.24}, tolerance=3e-5),
        make("no iteration", {"nsSteps": 0}),
        make("three iterations, normalised", {"nsSteps": 3, "learningRate": 0.1}, tolerance=3e-5),
    ]
    for wanted in hand:
        found = case(hybrid, "check", wanted["options"], wanted["params"], wanted["gradients"])
        a, b = (np.array(x["expected"][0]["params"]["w"]) for x in (wanted, found))
        assert np.abs(a - b).max() < 1e-7, (wanted, found)
    return {"contract": "update-rule", "plugin": plugin,
            "origin": "tools/golden/auon.py: golden checks of the card, and NumPy in float64 after optimizer.py of ryyzn9/AuON",
            "cases": [
                *hand,
                make("defaults", {}),
                make("all numbers", {"learningRate": 0.3, "momentum": 0.7, "gamma": 2.5, "weightDecay": 0.6,
                                     "decayMultiplier": {"tall": 3, "wide": 0}}),
                make("the code", {"normalize": False, "learningRate": 0.24, "weightDecay": 0.01}),
                make("the code, another brake", {"normalize": False, "gamma": 4, "momentum": 0.5, "learningRate": 0.02}),
                make("no brake, no momentum", {"gamma": 0, "momentum": 0}),
                make("vectors alike", {"matricesOnly": False}),
                make("vectors alike, the code", {"matricesOnly": False, "normalize": False, "gamma": 1}),
                make("kernels of a convolution", {"learningRate": 0.5}, kernel, kernel_grads),
                make("one element", {}, {"w": [[2.0]]}, [{"w": [[-3.0]]}, {"w": [[0.0]]}, {"w": [[1e-6]]}]),
                make("zeros, then a step", {"weightDecay": 1}, MATRIX, [zero, zero, *DIAGONAL]),
                make("huge and tiny", {"momentum": 0.5}, MATRIX,
                     [{"w": [[1e25, -1e25], [2e25, 0.0]]}, {"w": [[1e-9, 2e-9], [0.0, -1e-9]]}, {"w": [[1.0, 1.0], [1.0, 1.0]]}]),
                *further,
            ]}


flat = [{"w": [[1.0, 1.0], [1.0, 1.0]]}]
golden = file("auon", False, [
    by_hand("a spiky matrix", {}, DIAGONAL, [[0.52653562, 0], [0, 0.70204749]]),
    by_hand("a spiky matrix, the code", {"normalize": False}, DIAGONAL, [[2.21581654, 0], [0, 2.95442205]]),
    by_hand("a flat matrix takes the longer step", {}, flat, [[0.44340942] * 2] * 2),
])
hybrid = file("hybrid-auon", True, [
    by_hand("one iteration", {}, DIAGONAL, [[0.86913863, 0], [0, 0.71123767]]),
    by_hand("one iteration, the code", {"normalize": False}, DIAGONAL, [[0.88441792, 0], [0, 0.72374109]]),
])
call = lambda name, function, arguments, value: {
    "name": name, "plugin": "@updraft/auon", "tolerance": 1e-6, "input": {"call": function, "arguments": arguments},
    "expected": {"result": {"output": value}}}
X, EQUAL = np.array([[0.6, 0], [0, 0.8]]), np.full((2, 2), 0.5)
wide, tall = np.array(START["wide"]), np.array(START["tall"])
cases = {"origin": "tools/golden/auon.py: golden checks 1 to 4 of the card, and NumPy in float64", "cases": [
    call("the brake of a spiky matrix", "coshRms", [{"tensor": X.tolist()}, 1], 1.13952402),
    call("the brake of a spiky matrix, γ = 1.5", "coshRms", [{"tensor": X.tolist()}, 1.5], 1.35390269),
    call("the brake of a flat matrix", "coshRms", [{"tensor": EQUAL.tolist()}], 1.12762595),
    call("γ = 0 releases the brake", "coshRms", [{"tensor": X.tolist()}, 0], 1),
    call("an iteration by hand", "newtonSchulz", [{"tensor": [[3, 0], [0, 4]]}, 1], [[1.19326944, 0], [0, 0.97648195]]),
    *(call(f"{steps} iterations of a {name} matrix", "newtonSchulz", [{"tensor": x.tolist()}, steps],
           numbers(newton_schulz(x, steps).tolist())) for steps in (0, 1, 5) for name, x in (("wide", wide), ("tall", tall))),
]}
FOLDER.mkdir(exist_ok=True)
for name, value in (("auon.json", golden), ("hybrid-auon.json", hybrid), ("auon.cases.json", cases)):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    (FOLDER / name).write_text(text + "\n")
    print(name, len(text))
