"""Golden values for @updraft/adadagrad: the golden checks of the method's description by hand; its tests in NumPy after tests.py
of the authors, tensor by tensor and of all parameters as one vector; AdaGrad, AdaGrad-Norm and its rows in NumPy, float64.

Run with a Python that has NumPy:  python tools/golden/adadagrad.py > packages/samplers/adadagrad/golden/adadagrad.json
"""

import json
import math
import sys

import numpy as np

rng = np.random.default_rng(63)


def draw(*shape, scale=1.0, shift=0.0):
    return np.round(rng.normal(size=shape) * scale + shift, 3)


def statistics(tensors, per_tensor=False):
    flat = [np.asarray(t, np.float64).reshape(len(t), -1) for t in tensors.values()]
    if not per_tensor:
        flat = [np.concatenate(flat, 1)]
    found = dict(squaredNorm=0.0, variance=0.0, innerProductVariance=0.0, orthogonalVariance=0.0, coordinateRatio=0.0)
    for g in flat:
        mean = g.mean(0)
        inner = g @ mean
        variance = g.var(0, ddof=1)
        square = mean @ mean
        along = np.outer(inner, mean) / square if square > 0 else 0 * g
        found["squaredNorm"] += square
        found["variance"] += variance.sum()
        found["innerProductVariance"] += inner.var(ddof=1)
        found["orthogonalVariance"] += (g - along).var(0, ddof=1).sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(variance > 0, variance / mean ** 2, 0)
        found["coordinateRatio"] = max(found["coordinateRatio"], ratio.max())
    return found


def candidate(s, test, eta=0.1, theta=0.5, nu=1.0):
    with np.errstate(divide="ignore", invalid="ignore"):
        s = {k: np.float64(v) for k, v in s.items()}
        norm = s["variance"] / (eta ** 2 * s["squaredNorm"])
        ip = s["innerProductVariance"] / (theta ** 2 * s["squaredNorm"] ** 2)
        orth = s["orthogonalVariance"] / (nu ** 2 * s["squaredNorm"])
        return {"norm": norm, "ip": ip, "ip+orth": np.maximum(ip, orth), "coord": s["coordinateRatio"] / eta ** 2}[test]


def call(name, export, arguments, expected, tolerance=1e-7):
    return {"name": name, "plugin": "@updraft/adadagrad", "tolerance": tolerance,
            "input": {"call": export, "arguments": arguments}, "expected": {"result": expected}}


card = [[1, 0], [3, 0], [2, 2], [2, -2]]
moved = [[1, 1], [3, 1], [2, 3], [2, -1]]


def of(rows, **options):
    return {"export": "gradientStatistics", "arguments": [rows, options]}


cases = [
    call("card 1, statistics", "gradientStatistics", [card],
         {"squaredNorm": 4, "variance": 10 / 3, "innerProductVariance": 8 / 3, "orthogonalVariance": 8 / 3}),
    call("card 1, norm", "normTest", [of(card), 0.5], 10 / 3),
    call("card 1, norm, smaller eta", "normTest", [of(card), 0.25], 40 / 3),
    call("card 1, size stays", "nextBatchSize", [4, 3.3333, {"maxBatch": 100}], 4),
    call("card 1, size grows", "nextBatchSize", [4, 13.3333, {"maxBatch": 100}], 14),
    call("card 1, inner product", "innerProductTest", [of(card), 0.5], 2 / 3),
    call("card 1, orthogonality", "orthogonalityTest", [of(card), 0.5], 8 / 3),
    call("card 2, coordinates", "coordinateTest", [of(moved), 0.5], 32 / 3),
    call("card 2, size", "nextBatchSize", [4, 32 / 3, {"maxBatch": 100}], 11),
    call("card 4, moments put together", "combineMoments",
         [[{"export": "momentsOf", "arguments": [card[:2]]}, {"export": "momentsOf", "arguments": [card[2:]]}]],
         {"count": 4, "sum": [8, 0], "squares": [18, 8]}),
    call("card 4, exact variance", "varianceOf", [{"count": 4, "sum": [8, 0], "squares": [18, 8]}],
         {"mean": [2, 0], "variance": [2 / 3, 8 / 3]}),
    call("card 4, variance of the code", "totalVariance",
         [[{"mean": [2, 0], "variance": [2, 0]}, {"mean": [2, 0], "variance": [0, 8]}]], {"mean": [2, 0], "variance": [1, 4]}),
    call("a candidate of 0 gradients is the largest size", "nextBatchSize", [4, "nan", {"maxBatch": 100}], 100),
    call("an infinite one, too", "nextBatchSize", [4, "inf", {"maxBatch": 100}], 100),
    call("limited growth", "nextBatchSize", [10, 1000, {"maxBatch": 500, "growth": 1.55}], 15),
    call("powers of two", "nextBatchSize", [10, 33, {"maxBatch": 500, "sizes": "powers-of-two"}], 64),
    call("powers of two up to the largest", "nextBatchSize", [10, 300, {"maxBatch": 500, "sizes": "powers-of-two"}], 500),
    call("never smaller", "nextBatchSize", [10, 3, {"maxBatch": 500, "sizes": "powers-of-two"}], 10),
    call("micro-batches", "microBatches", [100, {"workers": 2, "maxMicro": 64}], {"micro": 50, "accumulation": 1, "batch": 100}),
    call("micro-batches are accumulated", "microBatches", [1001, {"workers": 2, "maxMicro": 64}],
         {"micro": 63, "accumulation": 8, "batch": 1008}),
]
equal = [[1, -2, 0]] * 5
for test in ["norm", "ip", "ip+orth", "coord"]:
    cases.append(call(f"card 3, equal gradients, {test}", "candidateSize",
                      [test, of(equal), {"eta": 0.5, "theta": 0.5, "nu": 0.5}], 0))

tensors = {"W": draw(6, 3, 2, shift=0.4), "b": draw(6, 2, shift=-0.3)}
tensors["W"][:, 0, 0] = 0  # a coordinate without gradients
rows = {k: v.reshape(6, -1).tolist() for k, v in tensors.items()}
for per_tensor in [False, True]:
    cases.append(call(f"statistics of two tensors, {'each' if per_tensor else 'together'}", "gradientStatistics",
                      [rows, {"perTensor": per_tensor}], statistics(tensors, per_tensor)))


# The same in the graph of a rule, from given gradients of every example: twelve steps with batches of two to thirteen.
METRICS = [("squaredNorm", "gradientSquaredNorm"), ("variance", "gradientVariance"),
           ("innerProductVariance", "innerProductVariance"), ("orthogonalVariance", "orthogonalVariance")]
batches = [{"W": draw(b, 2, 3, shift=0.3), "b": draw(b, 3, shift=0.2)} for b in range(2, 14)]
start = {"W": draw(2, 3), "b": draw(3)}


def trajectory(rule, gradients):
    params, rows = {k: v.copy() for k, v in start.items()}, []
    for g in gradients:
        params, state = rule(params, g)
        rows.append({"params": {k: v.tolist() for k, v in params.items()}, "state": {f"sum/{k}": np.asarray(v).tolist() for k, v in state.items()}})
    return rows


def adagrad(learningRate=0.01, epsilon=1e-10, initialAccumulator=0.0):
    S = {k: np.full_like(v, initialAccumulator) for k, v in start.items()}

    def step(params, g):
        for k in params:
            S[k] = S[k] + g[k] ** 2
        return {k: p - learningRate * g[k] / (np.sqrt(S[k]) + epsilon) for k, p in params.items()}, dict(S)
    return step


def adagrad_norm(learningRate=0.01, initialAccumulator=0.01):
    v = initialAccumulator

    def step(params, g):
        nonlocal v
        v = v + sum((x ** 2).sum() for x in g.values())
        return {k: p - learningRate * g[k] / np.sqrt(v) for k, p in params.items()}, {"all": v}
    return step


def adagrad_rows(shapes, learningRate=0.01, epsilon=1e-10, initialAccumulator=0.01, outputAxis="first"):
    """After adagradnorm.py; rows of an output axis that is last are those of the transpose."""
    S = {}

    def step(params, g):
        before, new = None, {}
        for k, p in params.items():
            x = g[k]
            if x.ndim in (2, 4):
                axis = 1 if x.ndim == 2 and outputAxis == "last" else 0
                axes = tuple(a for a in range(x.ndim) if a != axis)
                before = (x ** 2).sum(axes)
                S[k] = S.get(k, initialAccumulator) + (x ** 2).sum(axes, keepdims=True)
            else:
                extra = 0
                if x.ndim == 1 and before is not None and len(before) % len(x) == 0:
                    extra = before.reshape(len(x), -1).mean(1)
                S[k] = S.get(k, initialAccumulator) + extra + x ** 2
            new[k] = p - learningRate * x / (np.sqrt(S[k]) + epsilon)
        return new, dict(S)
    return step


# Losses whose gradients are given columns.
LINEAR_LOSS = {"type": "expression", "perExample": "sum(W * GW, [1, 2]) + sum(b * Gb, [1])"}
means = [{k: v.mean(0) for k, v in b.items()} for b in batches]


def rule_case(name, plugin, options, rule, per_sample=False):
    steps = trajectory(rule, means)
    if per_sample:
        for row, batch in zip(steps, batches):
            s, t = statistics(batch), statistics(batch, True)
            row["metrics"] = {metric: s[key] for key, metric in METRICS}
            row["metrics"]["tensorInnerProductVariance"] = t["innerProductVariance"]
            row["metrics"]["tensorOrthogonalVariance"] = t["orthogonalVariance"]
    if per_sample:
        given = {"model": LINEAR_LOSS, "batches": [{"GW": b["W"].tolist(), "Gb": b["b"].tolist()} for b in batches]}
    else:
        given = {"gradients": [{k: v.tolist() for k, v in b.items()} for b in means]}
    return {"name": name, "plugin": plugin, "tolerance": {"absolute": 2e-6, "relative": 2e-5},
            "input": {"options": options, "params": {k: v.tolist() for k, v in start.items()}, **given},
            "expected": {"steps": steps}}


cases += [
    rule_case("AdaGrad", "adagrad", {}, adagrad()),
    rule_case("AdaGrad with all options, and statistics", "adagrad",
              {"learningRate": 0.3, "epsilon": 0.1, "initialAccumulator": 0.5, "statistics": "ip+orth"},
              adagrad(0.3, 0.1, 0.5), True),
    rule_case("AdaGrad-Norm", "adagrad-norm", {}, adagrad_norm()),
    rule_case("AdaGrad-Norm with all options", "adagrad-norm", {"learningRate": 0.3, "initialAccumulator": 2}, adagrad_norm(0.3, 2)),
    rule_case("rows", "adagrad-norm", {"granularity": "row"}, adagrad_rows(start)),
    rule_case("rows of outputs that are last", "adagrad-norm",
              {"granularity": "row", "outputAxis": "last", "learningRate": 0.3, "epsilon": 0.2, "initialAccumulator": 0.1},
              adagrad_rows(start, 0.3, 0.2, 0.1, "last")),
]

coordinates = [{"w": draw(5, 4, shift=1.0)}, {"w": np.zeros((3, 4))}]
coordinates[0]["w"][:, 2] = 0
cases.append({"name": "coordinates in the graph", "plugin": "adagrad", "tolerance": {"absolute": 1e-6, "relative": 2e-5},
              "input": {"options": {"statistics": "coord"}, "params": {"w": [0, 0, 0, 0]},
                        "model": {"type": "expression", "perExample": "sum(w * g, [1])"},
                        "batches": [{"g": c["w"].tolist()} for c in coordinates]},
              "expected": {"steps": [{"metrics": {"coordinateRatio": statistics(c)["coordinateRatio"]}} for c in coordinates]}})

# The sampler: sizes after feedback, from gradients of every example and from metrics.
COUNT = 64
candidates = {"x": list(range(COUNT))}


def sizes_case(name, options, first, told, test):
    """`told` are statistics for each draw."""
    size, sizes = first, []
    for step, (s, _) in enumerate(told):
        sizes.append(size)
        most = min(options.get("maxBatch", COUNT), COUNT)
        if step % options.get("interval", 1) == 0 and size < most:
            wanted = candidate(s, test, **{k: options[k] for k in ("eta", "theta", "nu") if k in options})
            size = min(most, max(size, math.ceil(wanted) if np.isfinite(wanted) else most))
    return {"name": name, "plugin": "adadagrad", "tolerance": 0,
            "input": {"options": {"initialBatch": first, "test": test, **options}, "candidates": candidates,
                      "feedback": [{"loss": 1, **f} for _, f in told]},
            "expected": {"draws": [{"size": b} for b in sizes], "final": {"state": {"size": size, "drawn": sum(sizes)}}}}


def per_example(tensors):
    return {"perExample": {f"gradients/{k}": v.tolist() for k, v in tensors.items()}}


def noisy(b, shift):
    return {"W": draw(b, 2, 2, shift=shift), "b": draw(b, 2, shift=shift)}


growing = [noisy(b, 1.0) for b in (4, 6, 8, 10)]
for test, options in [("norm", {"eta": 0.4}), ("ip", {"theta": 0.2}), ("ip+orth", {"theta": 0.4, "nu": 0.35}),
                      ("coord", {"eta": 0.7}), ("norm", {"eta": 0.25, "maxBatch": 20}), ("norm", {"eta": 0.4, "interval": 2})]:
    told = [(statistics(g), per_example(g)) for g in growing]
    cases.append(sizes_case(f"sizes, {test} {json.dumps(options)}", options, 4, told, test))
told = [(statistics(g, True), per_example(g)) for g in growing]
cases.append(sizes_case("sizes, tensor by tensor", {"theta": 0.2, "nu": 0.3, "perTensor": True}, 4, told, "ip+orth"))
zero = {"W": np.zeros((4, 2))}
cases.append(sizes_case("sizes, a gradient of 0", {"maxBatch": 40}, 4, [(statistics(zero), per_example(zero))] * 2, "norm"))
card_told = [(statistics({"w": card}), {"metrics": {"gradientSquaredNorm": 4, "gradientVariance": 10 / 3}})] * 3
cases.append(sizes_case("card 1, sizes from metrics", {"eta": 0.25}, 4, card_told, "norm"))


def rounded(value):
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


json.dump({"origin": "tools/golden/adadagrad.py: the golden checks of the method's description by hand, and NumPy in float64 "
                     "after tests.py and adagradnorm.py of timlautk/AdAdaGrad", "cases": rounded(cases)},
          sys.stdout, separators=(",", ":"))
print()
