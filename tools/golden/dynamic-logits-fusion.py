"""Golden values for @updraft/dynamic-logits-fusion: the checks of the method's description, and the search written out as
loops over rows and numbers in NumPy, float64.

Run with a Python that has NumPy:
python tools/golden/dynamic-logits-fusion.py > packages/aggregators/dynamic-logits-fusion/golden/dynamic-logits-fusion.json
"""

import itertools
import json
import sys

import numpy as np


def log_softmax(x):
    x = x - x.max()
    return x - np.log(np.exp(x).sum())


def kl(a, b):
    with np.errstate(invalid="ignore"):
        return float(np.where(np.exp(a) > 0, np.exp(a) * (a - b), 0).sum())


def objective(large, base, experts, alpha):
    p, q = log_softmax(large), log_softmax(base)
    fused = log_softmax(large + sum(a * (e - base) for a, e in zip(alpha, experts)))
    total = 0.0
    for e in experts:
        qt = log_softmax(e)
        total += (kl(fused, p) - kl(qt, q)) ** 2 + (kl(p, fused) - kl(q, qt)) ** 2
    return total


def smallest(points, value):
    best = None
    for point in points:
        found = value(point)
        if best is None or found < best[1]:
            best = (point, found)
    return best


def fuse_row(large, base, experts, range=(0, 2), coarse=0.1, fine=0.02, mode="single-active"):
    count = len(experts)
    ranges = list(range) if isinstance(range[0], (list, tuple)) else [range] * count
    steps = [int(np.floor((high - low) / coarse + 1e-9)) for low, high in ranges]
    reach = int(np.floor(coarse / fine + 1e-9))

    def stages(active):
        def full(values):
            alpha = [0.0] * count
            for t, value in zip(active, values):
                alpha[t] = value
            return alpha

        value = lambda values: objective(large, base, experts, full(values))
        first = smallest(itertools.product(*[[ranges[t][0] + i * coarse for i in np.arange(steps[t] + 1)] for t in active]),
                         value)[0]
        around = []
        for t, center in zip(active, first):
            points = [center + i * fine for i in np.arange(-reach, reach + 1)]
            around.append([x for x in points if ranges[t][0] - 1e-9 <= x <= ranges[t][1] + 1e-9])
        point, found = smallest(itertools.product(*around), value)
        return full(point), found

    if mode == "joint" or count == 1:
        alpha, found = stages(list(np.arange(count)))
    else:
        alpha, found = smallest_of([stages([t]) for t in np.arange(count)])
    return large + sum(a * (e - base) for a, e in zip(alpha, experts)), alpha, found


def smallest_of(results):
    best = results[0]
    for one in results[1:]:
        if one[1] < best[1]:
            best = one
    return best


def rounded(x, digits=9):
    return np.round(np.asarray(x, np.float64), digits).tolist()


def case(name, large, base, experts, options=None, tolerance=2e-6):
    options = options or {}
    large, base, *experts = [np.asarray(x, np.float32).astype(np.float64) for x in [large, base, *experts]]
    vocabulary = large.shape[-1]
    rows = [fuse_row(*[x.reshape(-1, vocabulary)[row] for x in [large, base]],
                     [e.reshape(-1, vocabulary)[row] for e in experts], **options)
            for row in np.arange(large.size // vocabulary)]
    lead = large.shape[:-1]
    sources = [{"id": "large", "values": {"logits": rounded(large, 7)}},
               {"id": "smallBase", "values": {"logits": rounded(base, 7)}}]
    sources += [{"id": f"expert{t + 1}", "values": {"logits": rounded(e, 7)}} for t, e in enumerate(experts)]
    return {
        "name": name,
        "plugin": "dynamic-logits-fusion",
        "tolerance": tolerance,
        "input": {"options": options, "sources": sources},
        "expected": {"final": {
            "result": {"logits": rounded(np.array([r[0] for r in rows]).reshape(large.shape))},
            "outputs": {
                "alpha": rounded(np.array([r[1] for r in rows]).reshape(*lead, len(experts))),
                "objective": rounded(np.array([r[2] for r in rows]).reshape(lead)),
            },
        }},
    }


def by_hand(name, sources, expected, options=None, tolerance=2e-7):
    ids = ["large", "smallBase", "expert"]
    return {"name": name, "plugin": "dynamic-logits-fusion", "tolerance": tolerance,
            "input": {"options": options or {},
                      "sources": [{"id": i, "values": {"logits": x}} for i, x in zip(ids, sources)]},
            "expected": {"final": expected}}


LARGE, BASE, EXPERT = [2, 1, 0, -1], [1, 1, 0, 0], [0, 2, 1, 0]
CARD = [LARGE, BASE, EXPERT]
cases = [
    by_hand("card 2: α 0.82", CARD, {"outputs": {"alpha": [0.82], "objective": 0.0030656}}),
    by_hand("card 2: the coarse minimiser is 0.8", CARD, {"outputs": {"alpha": [0.8], "objective": 0.0036866}},
            {"fine": 0.2}),
    by_hand("card 3: a large model that is the small base", [BASE, BASE, EXPERT],
            {"outputs": {"alpha": [1], "objective": 0}, "result": {"logits": EXPERT}}),
    by_hand("card 4: an expert that has learnt nothing", [LARGE, BASE, BASE],
            {"outputs": {"alpha": [0], "objective": 0}, "result": {"logits": LARGE}}),
]
for alpha, found in [(0, 0.1946873), (1, 0.0355840), (2, 1.8821094)]:
    cases.append(by_hand(f"card 2: J({alpha})", CARD, {"outputs": {"alpha": [alpha], "objective": found}},
                         {"range": [alpha, alpha]}, 1e-6))
for alpha, found in [(0.9, 0.0048630), (1.1, 0.0052173)]:
    cases.append(by_hand(f"card 3: J({alpha})", [BASE, BASE, EXPERT],
                         {"outputs": {"alpha": [alpha], "objective": found}}, {"range": [alpha, alpha]}))

random = np.random.default_rng(50)
normal = lambda *shape, scale=1.0: np.round(random.normal(size=shape) * scale, 3)
large, base = normal(12, 7, scale=2), normal(12, 7)
one, two, three = [base + normal(12, 7) for _ in range(3)]
cases += [
    case("twelve rows, one expert", large, base, [one]),
    case("other steps and range", large, base, [one], {"range": [0.3, 1.25], "coarse": 0.2, "fine": 0.03}),
    case("a range that ends below 1", large, base, [one], {"range": [0, 0.45]}),
    case("a range with negative coefficients", large, base, [one], {"range": [-1, 1]}),
    case("three experts, one at a time", large, base, [one, two, three]),
    case("two experts together", large, base, [one, two], {"mode": "joint", "coarse": 0.2, "fine": 0.05}),
    case("two experts, each with its range", large, base, [one, two], {"range": [[0, 0.5], [0.5, 2]]}),
    case("two experts together, each with its range", large, base, [one, two],
         {"mode": "joint", "range": [[0, 0.5], [0.5, 1]]}),
    case("logits of sequences", large.reshape(3, 4, 7), base.reshape(3, 4, 7), [one.reshape(3, 4, 7)]),
    case("two words", large[:, :2], base[:, :2], [one[:, :2]]),
    case("one word", large[:2, :1], base[:2, :1], [one[:2, :1]]),
    case("sharp models", 8 * large[:4], 8 * base[:4], [8 * one[:4]], tolerance={"absolute": 1e-5, "relative": 1e-5}),
]
json.dump({"origin": "tools/golden/dynamic-logits-fusion.py: the checks of the method's description by hand, and the "
                     "search in loops over rows in NumPy, float64", "cases": cases},
          sys.stdout, separators=(",", ":"), ensure_ascii=False)
print()
