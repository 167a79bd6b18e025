"""Golden values for @updraft/adaptive-projected-guidance: the golden checks of its description worked by hand, and algorithm 1
of Sadat et al. 2024 with samplers of Karras et al. 2022 in NumPy, float64.

Run with a Python that has NumPy:
  python tools/golden/adaptive-projected-guidance.py > packages/samplers/adaptive-projected-guidance/golden/adaptive-projected-guidance.json
"""

import json
import sys

import numpy as np


def normalized_guidance(pred_cond, pred_uncond, buffer, scale=4.0, eta=0.0, normThreshold=0.0, momentum=0.0):
    """Algorithm 1, after its listing; `buffer` is the running average or None."""
    diff = pred_cond - pred_uncond
    if momentum != 0:
        buffer = diff + momentum * (0 if buffer is None else buffer)
        diff = buffer
    axes = tuple(range(1, diff.ndim))
    if normThreshold > 0:
        norm = np.sqrt((diff ** 2).sum(axes, keepdims=True))
        diff = diff * np.minimum(1.0, normThreshold / np.where(norm == 0, 1e-300, norm))
    length = np.sqrt((pred_cond ** 2).sum(axes, keepdims=True))
    direction = pred_cond / np.maximum(length, 1e-12)
    parallel = (diff * direction).sum(axes, keepdims=True) * direction
    return pred_cond + (scale - 1) * (diff - parallel + eta * parallel), buffer


def tensor(x):
    return {"tensor": np.asarray(x).tolist()}


def call(name, options, Dc, Du, state, expected, tolerance=1e-6, export="apg"):
    items = [tensor(Dc), tensor(Du)] + ([] if state is None else [tensor(state)])
    return {"name": name, "plugin": "adaptive-projected-guidance", "tolerance": tolerance,
            "input": {"call": export, "arguments": [options], "then": [{"method": "apply", "arguments": items}]},
            "expected": {"result": expected}}


by_hand = [
    call("card 1, eta 0", {"scale": 5, "eta": 0}, [[3, 4]], [[1, 1]], None, {"D": [[2.36, 4.48]]}),
    call("card 1, one sample without a batch", {"scale": 5, "eta": 0}, [3, 4], [1, 1], None, {"D": [2.36, 4.48]}),
    call("card 1, eta 1 is classifier-free guidance", {"scale": 5, "eta": 1}, [[3, 4]], [[1, 1]], None, {"D": [[11, 16]]}),
    call("card 1, classifier-free guidance", 5, [[3, 4]], [[1, 1]], None, {"D": [[11, 16]]}, export="cfg"),
    call("card 2, eta 0", {"scale": 5, "eta": 0, "normThreshold": 2}, [[3, 4]], [[1, 1]], None,
         {"D": [[2.644992, 4.266256]]}, 2e-6),
    call("card 2, eta 0.5", {"scale": 5, "eta": 0.5, "normThreshold": 2}, [[3, 4]], [[1, 1]], None,
         {"D": [[5.041297, 7.461329]]}, 2e-6),
    call("card 3, first step", {"scale": 5, "normThreshold": 2.5, "momentum": -0.5}, [[3, 4]], [[1, 1]], None,
         {"D": [[2.55624, 4.33282]], "state": [[2, 3]]}, 6e-6),
    call("card 3, second step", {"scale": 5, "normThreshold": 2.5, "momentum": -0.5}, [[2, 4]], [[1, 2]], [[2, 3]],
         {"D": [[1.2, 4.4]], "state": [[0, 0.5]]}),
    {"name": "a parallel and an orthogonal part", "plugin": "adaptive-projected-guidance", "tolerance": 1e-6,
     "input": {"call": "project", "arguments": [tensor([[2, 3]]), tensor([[3, 4]])]},
     "expected": {"result": {"parallel": [[2.16, 2.88]], "orthogonal": [[-0.16, 0.12]]}}},
    {"name": "adapters: noise", "plugin": "adaptive-projected-guidance", "tolerance": 1e-6,
     "input": {"call": "toDenoised", "arguments": ["noise", tensor([[1, 2]]), tensor([[2, 3]]), {"alpha": 0.8, "sigma": 0.6}]},
     "expected": {"result": {"output": [[1.75, 2.25]]}}},
    {"name": "adapters: velocity", "plugin": "adaptive-projected-guidance", "tolerance": 1e-6,
     "input": {"call": "toDenoised", "arguments": ["velocity", tensor([[1, 2]]), tensor([[2, 3]]), {"alpha": 0.8, "sigma": 0.6}]},
     "expected": {"result": {"output": [[1.0, 1.2]]}}},
    {"name": "adapters: flow", "plugin": "adaptive-projected-guidance", "tolerance": 1e-6,
     "input": {"call": "toDenoised", "arguments": ["flow", tensor([[1, 2]]), tensor([[2, 3]]), {"alpha": 0.75, "sigma": 0.25}]},
     "expected": {"result": {"output": [[1.75, 2.5]]}}},
]

rng = np.random.default_rng(69)


def draw(*shape, scale=1.0):
    return np.round(rng.normal(size=shape) * scale, 3)


# Guidance alone: images of three samples, of which one has no update and one a prediction of zeros.
Dc, Du, state = draw(3, 2, 2, 2), draw(3, 2, 2, 2), draw(3, 2, 2, 2)
Du[1] = Dc[1]
Dc[2] = 0
calls = []
for name, options, memory in [
    ("defaults on images", {}, None),
    ("eta 0.3", {"scale": 7.5, "eta": 0.3}, None),
    ("a limit that some samples meet", {"scale": 3, "normThreshold": 2.5, "eta": 0.1}, None),
    ("a limit below 0 is none", {"scale": 3, "normThreshold": -1}, None),
    ("momentum begins", {"scale": 2, "momentum": -0.75}, None),
    ("momentum goes on", {"scale": 2, "momentum": -0.75, "normThreshold": 1}, state),
    ("without momentum the memory has no influence", {"scale": 2}, state),
    ("scale 1 is the conditional prediction", {"scale": 1, "eta": 0.5, "normThreshold": 0.1, "momentum": -0.5}, state),
]:
    D, memory_after = normalized_guidance(Dc, Du, memory, **options)
    expected = {"D": D.tolist()}
    if options.get("momentum", 0) != 0:
        expected["state"] = memory_after.tolist()
    calls.append(call(name, options, Dc, Du, memory, expected))
huge, tiny = np.array([[3e18, 4e18]]), np.array([[3e-20, 4e-20]])
for name, values in [("huge predictions", huge), ("tiny predictions", tiny)]:
    D, _ = normalized_guidance(values, values[:, ::-1], None, scale=2, normThreshold=1)
    calls.append(call(name, {"scale": 2, "normThreshold": 1}, values, values[:, ::-1], None, {"D": D.tolist()},
                      {"absolute": 0, "relative": 1e-5}))

# Whole generations of 12 steps.
COUNT, WIDTH, CLASSES = 3, 4, 2
mean, start = draw(CLASSES, WIDTH) + 1, draw(COUNT, WIDTH)
label = np.array([0, 1, 0])


def ratios(steps=40, largestNoise=80.0, smallestNoise=0.002, rho=7.0):
    at = np.arange(steps)
    low, high = smallestNoise ** (1 / rho), largestNoise ** (1 / rho)
    return np.append((high + at / max(1, steps - 1) * (low - high)) ** rho, 0)


LEVELS = {"variance-exploding": lambda s: (1.0, s),
          "variance-preserving": lambda s: (1 / np.sqrt(1 + s * s), s / np.sqrt(1 + s * s)),
          "flow": lambda s: (1 / (1 + s), s / (1 + s))}


def exact(x, sigma, label):
    spread = 0.09 + sigma ** 2
    return (mean[label] * sigma ** 2 + x * 0.09) / spread


def mixture(x, sigma, label):
    spread = 0.09 + sigma ** 2
    logits = -((x[:, None] - mean[None]) ** 2).sum(2) / (2 * spread)
    share = np.exp(logits - logits.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    return (share @ mean * sigma ** 2 + x * 0.09) / spread


def invented(x, sigma, label):
    """Any function of its inputs does: the sampler is what is checked. Class 2 means no condition."""
    table = np.vstack([mean, np.zeros((1, WIDTH))])
    return np.tanh(x * 0.7) - 0.3 * table[label] * sigma + 0.1 * x


def denoised(kind, prediction, x, alpha, sigma):
    if kind == "denoised":
        return prediction
    if kind == "noise":
        return (x - sigma * prediction) / alpha
    if kind == "velocity":
        return alpha * x - sigma * prediction
    return x - sigma * prediction


def generate(conditional, unconditional, options):
    """Euler and Heun (Karras et al. 2022, algorithm 1) for z = x/α, whose noise is s = σ/α."""
    guide = {k: options[k] for k in ("scale", "eta", "normThreshold", "momentum") if k in options}
    grid = ratios(**{k: options[k] for k in ("steps", "largestNoise", "smallestNoise", "rho") if k in options})
    process, prediction = options.get("process", "variance-exploding"), options.get("prediction", "denoised")
    kind = "flow" if process == "flow" and prediction == "velocity" else prediction
    memory, rows = None, []

    def slope(z, s):
        nonlocal memory
        alpha, sigma = LEVELS[process](s)
        x = alpha * z
        Dc = denoised(kind, conditional(x, sigma, label), x, alpha, sigma)
        Du = denoised(kind, unconditional(x, sigma, label), x, alpha, sigma)
        D, memory = normalized_guidance(Dc, Du, memory, **guide)
        return (z - D) / s, D

    alpha, sigma = LEVELS[process](grid[0])
    z = start * sigma / alpha
    for s, following in zip(grid[:-1], grid[1:]):
        d, D = slope(z, s)
        step = z + (following - s) * d
        if options.get("solver") == "heun" and following > 0:
            d2, _ = slope(step, following)
            step = z + (following - s) * (d + d2) / 2
        z = step
        rows.append((LEVELS[process](following)[0] * z, D, memory))
    return rows


shapes = {"x": np.zeros((COUNT, WIDTH)).tolist(), "sigma": np.zeros(COUNT).tolist(),
          "label": {"dtype": "int64", "data": label.tolist()}}
S = f"reshape(sigma, [{COUNT}, 1])"
exact_model = {"type": "expression", "inputs": shapes, "params": {"mean": mean.tolist()},
               "outputs": {"denoised": f"(gather(mean, label) * {S}^2 + x * 0.09) / ({S}^2 + 0.09)"}}
weights = f"softmax(-sum((reshape(x, [{COUNT}, 1, {WIDTH}]) - mean)^2, [2]) / (2 * ({S}^2 + 0.09)))"
mixture_model = {"type": "expression", "inputs": {k: shapes[k] for k in ("x", "sigma")}, "params": {"mean": mean.tolist()},
                 "outputs": {"denoised": f"({weights} @ mean * {S}^2 + x * 0.09) / ({S}^2 + 0.09)"}}
table = np.vstack([mean, np.zeros((1, WIDTH))]).tolist()
invented_model = {"type": "expression", "inputs": shapes, "params": {"table": table},
                  "outputs": {"prediction": f"tanh(x * 0.7) - 0.3 * gather(table, label) * {S} + 0.1 * x"}}


def generation(name, options, exactly):
    options = {"shape": [WIDTH], "steps": 12, **options}
    if exactly:
        options = {**options, "unconditionalModel": "free"}
        rows = generate(exact, mixture, options)
        models = {"denoiser": exact_model, "free": mixture_model}
    else:
        options = {**options, "nullLabel": CLASSES}
        rows = generate(invented, lambda x, sigma, label: invented(x, sigma, np.full(COUNT, CLASSES)), options)
        models = {"denoiser": invented_model}
    steps = []
    for x, D, memory in rows:
        state = {"x": x.tolist(), **({} if options.get("momentum", 0) == 0 else {"memory": memory.tolist()})}
        steps.append({"outputs": {"denoised": D.tolist()}, "state": state})
    # States begin at 80 times the noise: rounding is relative to that.
    return {"name": name, "plugin": "adaptive-projected-guidance", "tolerance": {"absolute": 2e-4, "relative": 1e-4},
            "input": {"options": options, "models": models, "noise": {"start": {"dtype": "float32", "data": start.tolist()}},
                      "inputs": {"label": shapes["label"]}},
            "expected": {"steps": steps, "reason": "steps"}}


everything = {"scale": 6, "eta": 0.2, "normThreshold": 1.5, "momentum": -0.5}
generations = [
    generation("a generation with the defaults", {"largestNoise": 20, "smallestNoise": 0.02}, True),
    generation("all options", {**everything, "largestNoise": 10, "smallestNoise": 0.05, "rho": 3}, True),
    generation("Heun", {**everything, "solver": "heun", "largestNoise": 10, "smallestNoise": 0.05}, True),
    generation("variance-preserving, noise", {**everything, "process": "variance-preserving", "prediction": "noise",
                                              "largestNoise": 10, "smallestNoise": 0.02}, False),
    generation("variance-preserving, velocity, Heun", {"scale": 3, "momentum": -0.3, "process": "variance-preserving",
                                                       "prediction": "velocity", "solver": "heun", "largestNoise": 10,
                                                       "smallestNoise": 0.02}, False),
    generation("flow, velocity", {"scale": 3, "normThreshold": 0.5, "process": "flow", "prediction": "velocity",
                                  "largestNoise": 50, "smallestNoise": 0.02}, False),
    generation("flow, denoised, one step", {"scale": 2, "steps": 1, "process": "flow", "largestNoise": 50}, False),
]


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list) else value


json.dump({"origin": "tools/golden/adaptive-projected-guidance.py: the golden checks of the method's description by hand, and "
                     "algorithm 1 of Sadat et al. 2024 with Euler and Heun of Karras et al. 2022 in NumPy, float64",
           "cases": rounded(by_hand + calls + generations)}, sys.stdout, separators=(",", ":"))
print()
