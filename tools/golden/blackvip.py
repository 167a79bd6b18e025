"""Golden values for @updraft/blackvip: the checks of the card, SPSA-GC in NumPy over steps, the coordinator in PyTorch.

Run with a Python that has PyTorch:  python tools/golden/blackvip.py > packages/update-rules/blackvip/golden/blackvip.json
"""

import json
import sys

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(75)
rng = np.random.default_rng(75)
cases = []


def case(name, plugin, expected, tolerance, **given):
    cases.append({"name": name, "plugin": plugin, "tolerance": tolerance, "input": given, "expected": expected})


# The first check of the card, with its printed digits.
case("card 1", "spsa-gc", {"steps": [
    {"params": {"w": [0.928003, 0.143993]}, "state": {"momentum/w": [0.5, -1]}},
    {"params": {"w": [1.409275, -0.057496]}, "state": {"momentum/w": [-3.693993, 1.171997]}}]}, 5e-6,
    options={"a": 0.1, "c": 0.1, "o": 1, "alpha": 0.4, "gamma": 0.1, "beta": 0.9, "avg": 1}, params={"w": [1, 0]},
    model={"type": "expression", "loss": "w[0]^2 + 3 * w[1]"}, batches=[{}], steps=2,
    noise={"Delta/w": [[[1, -0.5]], [[-0.5, 1]]]})


def spsa_gc(params, losses, deltas, a=0.01, alpha=0.4, o=1.0, c=0.01, gamma=0.1, beta=0.9, avg=5, form="code", distribution=None):
    """forward_backward and spsa_grad_estimate_bi of trainers/blackvip.py on one vector; or the paper's look-ahead."""
    names = list(params)
    sizes = [np.size(params[k]) for k in names]
    split = lambda v: {k: part.reshape(np.shape(params[k])) for k, part in zip(names, np.split(v, np.cumsum(sizes)[:-1]))}
    flat = lambda values: np.concatenate([np.ravel(values[k]) for k in names])
    w, m = flat(params).astype(np.float64), np.zeros(sum(sizes))
    out = []
    for k, (loss, delta) in enumerate(zip(losses, deltas), 1):
        ak, ck = a / (k + o) ** alpha, c / k**gamma
        at = w + beta * m if form == "lookahead" else w
        estimates, seen = [], []
        for j in range(avg):
            d = flat({n: delta[n][j] for n in names})
            high, low = loss(split(at + ck * d)), loss(split(at - ck * d))
            estimates.append((high - low) / (2 * ck) / d)
            seen += [high, low]
        g = np.mean(estimates, axis=0)
        if form == "lookahead":
            m = beta * m - ak * g
            w = w + m
        else:
            m = beta * m + g
            w = w - ak * (g + beta * m)
        out.append({"step": k, "params": {n: v.tolist() for n, v in split(w).items()},
                    "state": {f"momentum/{n}": v.tolist() for n, v in split(m).items()},
                    "metrics": {"perturbedLoss": float(np.mean(seen))}})
    return out


rounded = lambda *shape: np.round(rng.normal(size=shape), 3)
start = {"w": rounded(3, 2), "b": rounded(2)}
batches = [{"x": rounded(4, 3), "y": rounded(4, 2)} for _ in range(12)]
LOSS = "mean((tanh(x @ w + b) - y)^2)"
losses = [lambda p, b=b: np.mean((np.tanh(b["x"] @ p["w"] + p["b"]) - b["y"]) ** 2) for b in batches]


def draws(avg, rademacher=False):
    def one(shape):
        sign = np.where(rng.random((avg, *shape)) < 0.5, -1.0, 1.0)
        return sign if rademacher else np.round(sign * rng.uniform(0.5, 1, (avg, *shape)), 3)
    return [{k: one(np.shape(v)) for k, v in start.items()} for _ in batches]


lists = lambda values: {k: np.asarray(v).tolist() for k, v in values.items()}
# Differences of losses in float32 are divided by 2c, so perturbations are large here.
for name, options, tolerance in (
    ("12 steps, momentum and several directions", {"a": 0.05, "c": 0.3, "avg": 3}, 2e-5),
    ("12 steps, all numbers", {"a": 0.08, "alpha": 0.602, "o": 5, "c": 0.5, "gamma": 0.101, "beta": 0.5, "avg": 2}, 2e-5),
    ("12 steps, look-ahead", {"a": 0.05, "c": 0.3, "beta": 0.8, "avg": 2, "form": "lookahead"}, 2e-5),
    ("12 steps, plain SPSA, Rademacher, constant gains",
     {"a": 0.05, "alpha": 0, "c": 0.3, "gamma": 0, "beta": 0, "avg": 1, "distribution": "rademacher"}, 2e-5),
    ("defaults", {}, 2e-4),
):
    deltas = draws(options.get("avg", 5), options.get("distribution") == "rademacher")
    case(name, "spsa-gc", {"steps": spsa_gc(start, losses, deltas, **options)}, tolerance, options=options,
         params=lists(start), model={"type": "expression", "loss": LOSS}, batches=[lists(b) for b in batches],
         noise={f"Delta/{k}": [d[k].tolist() for d in deltas] for k in start})

# Check 4: a loss that does not depend on φ gives exactly 0, however it depends on the batch.
case("card 4: no dependence, no step", "spsa-gc",
     {"steps": [{"params": {"w": [1, -2]}, "state": {"momentum/w": [0, 0]}}]}, 0, params={"w": [1, -2]},
     model={"type": "expression", "loss": "mean(x^3) + 0 * sum(w)"}, batches=[{"x": [0.3, 17]}])


class Decoder(torch.nn.Module):
    """Built from the description of the coordinator: doublings with grouped 2x2, then 1x1, batch norm, GELU."""

    def __init__(self, z, image, channels, source, scale):
        super().__init__()
        colours, *sides = image
        self.base = [side // 2 ** (len(channels) + 1) for side in sides]
        self.trigger = torch.nn.Parameter(torch.rand(1, source * int(np.prod(self.base)) - z) * scale)
        self.stages = torch.nn.ModuleList()
        now = source
        for index, out in enumerate(channels):
            middle = out if index == 0 else now
            self.stages.append(torch.nn.ModuleList([
                torch.nn.ConvTranspose2d(now, middle, 2, 2, groups=int(np.gcd(now, middle))),
                torch.nn.ConvTranspose2d(middle, out, 1, bias=False), torch.nn.BatchNorm2d(out)]))
            now = out
        self.last = torch.nn.ConvTranspose2d(now, colours, 2, 2, bias=False)

    def forward(self, features):
        value = torch.cat([features, self.trigger.repeat(len(features), 1)], 1).reshape(len(features), -1, *self.base)
        for up, mix, norm in self.stages:
            value = torch.nn.functional.gelu(norm(mix(up(value))))
        return self.last(value)

    def named(self):
        weights = {"coordinator.trigger": self.trigger}
        suffix = lambda index: "" if index == 0 else str(index)
        for index, (up, mix, norm) in enumerate(self.stages):
            weights |= {f"coordinator.up{suffix(index)}.weight": up.weight, f"coordinator.up{suffix(index)}.bias": up.bias,
                        f"coordinator.mix{suffix(index)}.weight": mix.weight,
                        f"coordinator.norm{suffix(index)}.gain": norm.weight, f"coordinator.norm{suffix(index)}.bias": norm.bias}
        return weights | {f"coordinator.up{suffix(len(self.stages))}.weight": self.last.weight}


for training, image, channels, source in ((True, (1, 8, 8), [4, 6], 66), (False, (2, 8, 4), [6], 36)):
    x = torch.tensor(np.round(rng.random((3, *image)), 3))
    model = Decoder(int(np.prod(image)), image, channels, source, 0.1)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.tensor(np.round(rng.normal(size=p.shape) * 0.4, 3)))
        for _, _, norm in model.stages:
            norm.running_mean.copy_(torch.tensor(rounded(len(norm.running_mean))))
            norm.running_var.copy_(torch.tensor(np.round(rng.random(len(norm.running_var)) + 0.5, 3)))
    before = {f"coordinator.norm{'' if i == 0 else i}.{k}": v.clone() for i, (_, _, n) in enumerate(model.stages)
              for k, v in (("runningMean", n.running_mean), ("runningVariance", n.running_var))}
    model.train(training)
    prompt = model(x.flatten(1))
    means, deviations = [0.4, 0.5][: image[0]], [0.3, 0.2][: image[0]]
    low, high = [[(edge - m) / d for m, d in zip(means, deviations)] for edge in (0, 1)]
    bound = lambda values: torch.tensor(values).reshape(1, -1, 1, 1)
    clipped = torch.minimum(torch.maximum(x + 0.7 * prompt, bound(low)), bound(high))
    weights = {k: v.tolist() for k, v in model.named().items()}
    base = {"imageShape": list(image), "encoder": {"export": "@updraft/nn#flatten"}, "channels": channels, "sourceChannels": source}
    variables = {k: v.tolist() for k, v in before.items()}
    form = "training" if training else "inference"
    case(f"prompt in {form} form", "blackvip#coordinatorPrompt", {"outputs": {"output": prompt.tolist()}}, 2e-5,
         arguments=[base], inputs={"x": x.tolist()}, weights=weights, variables=variables, training=training)
    case(f"clipped to the range of pixels, {form}", "blackvip#coordinator", {"outputs": {"output": clipped.tolist()}}, 2e-5,
         arguments=[{**base, "pEps": 0.7, "clip": {"mean": means, "deviation": deviations}}],
         inputs={"x": x.tolist()}, weights=weights, variables=variables, training=training)

top, bottom, left, right = rounded(1, 1, 1, 4), rounded(1, 1, 1, 4), rounded(1, 1, 2, 1), rounded(1, 1, 2, 1)
frame = np.concatenate([top, np.concatenate([left, np.zeros((1, 1, 2, 2)), right], 3), bottom], 2)
small = np.round(rng.random((2, 1, 4, 4)), 3)
case("a frame around every image", "blackvip#padPrompt", {"outputs": {"output": np.clip(small + 0.5 * frame, 0, 1).tolist()}}, 1e-6,
     arguments=[{"imageShape": [1, 4, 4], "padSize": 1, "pEps": 0.5}], inputs={"x": small.tolist()},
     weights={"frame.top": top.tolist(), "frame.bottom": bottom.tolist(), "frame.left": left.tolist(), "frame.right": right.tolist()})

json.dump({"origin": "tools/golden/blackvip.py: the golden checks of the card, NumPy after trainers/blackvip.py of changdaeoh/BlackVIP, and PyTorch, in float64",
           "cases": cases}, sys.stdout, separators=(",", ":"))
