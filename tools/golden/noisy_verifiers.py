"""Golden values for @updraft/noisy-verifiers and for clipped-surrogate of @updraft/nn: the corrections worked by hand and in
NumPy, the surrogate in PyTorch, in float64.

Run with a Python that has NumPy and PyTorch:  python tools/golden/noisy_verifiers.py
Writes packages/rewards/noisy-verifiers/golden/noisy-verifiers.json and packages/nn/golden/clipped-surrogate.json.
"""

import json
import pathlib

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
root = pathlib.Path(__file__).parents[2]
rng = np.random.default_rng(87)


def advantages(scores, groups, mode="forward", rho0=0.0, rho1=0.2, normalise=None, minDenominator=0.05):
    r, g = np.asarray(scores, float), np.asarray(groups)
    per_group = lambda rate: np.asarray(rate)[g] if isinstance(rate, list) else np.full(len(r), rate)
    f0, f1 = per_group(rho0), per_group(rho1)
    if mode == "backward":
        a = (r - f0) / np.maximum(1 - f0 - f1, minDenominator)
    elif mode == "forward":
        a = np.where(r == 1, f1, f1 - 1)
    else:
        a = r
    normalise = normalise or ("mean" if mode == "backward" else "none")
    out = a.copy()
    for group in set(groups):
        own = np.flatnonzero(g == group)
        for i in own:
            if normalise == "mean":
                out[i] = a[i] - a[own].mean()
            elif normalise == "leave-one-out" and len(own) > 1:
                out[i] = a[i] - a[own[own != i]].mean()
    return out.tolist()


def case(name, scores, groups, **options):
    return {"name": name, "options": options, "tolerance": 1e-12, "scores": scores, "groups": groups,
            "advantages": advantages(scores, groups, **options)}


cases = [
    {"name": "by hand: unbiased rewards", "options": {"mode": "backward", "rho0": 0.1, "rho1": 0.3, "normalise": "none"},
     "tolerance": 1e-12, "scores": [1, 0], "advantages": [1.5, -1 / 6]},
    {"name": "by hand: forward weights", "options": {"rho0": 0.1, "rho1": 0.3}, "tolerance": 1e-12, "scores": [1, 0], "advantages": [0.3, -0.7]},
    {"name": "by hand: without errors, rewards as they are", "options": {"mode": "backward", "rho1": 0, "normalise": "none"},
     "tolerance": 1e-12, "scores": [1, 0], "advantages": [1, 0]},
    {"name": "by hand: without errors, only rejected answers weigh", "options": {"rho1": 0}, "tolerance": 1e-12, "scores": [1, 0], "advantages": [0, -1]},
    {"name": "by hand: appeals of 40 rejected of 100 answers, 15 won",
     "options": {"rho1": "online", "mu": 0},
     "tolerance": 1e-12,
     "items": [{"reward": 1}] * 60 + [{"reward": 0, "appeal": 1}] * 15 + [{"reward": 0, "appeal": 0}] * 25,
     "scores": [1] * 60 + [0] * 40},
]
scores = rng.integers(0, 2, 24).tolist()
groups = [i // 6 for i in range(24)]
mixed = rng.permutation(groups).tolist()
cases += [
    case("forward, defaults", scores, groups),
    case("forward, centred as if it were not corrected", scores, groups, normalise="mean", rho1=0.4),
    case("forward, a rate for each group", scores, mixed, rho1=[0, 0.1, 0.2, 0.45]),
    case("backward, centred", scores, groups, mode="backward", rho0=0.05, rho1=0.25),
    case("backward, rates for each group in mixed order", scores, mixed, mode="backward", rho0=[0, 0.1, 0.2, 0.3], rho1=[0.4, 0, 0.1, 0.3]),
    case("backward, the others as baseline", scores, groups, mode="backward", rho0=0.1, rho1=0.1, normalise="leave-one-out"),
    case("backward, the least denominator", scores, groups, mode="backward", rho0=0.49, rho1=0.49, normalise="none"),
    case("backward, another least denominator", scores, groups, mode="backward", rho0=0.3, rho1=0.3, minDenominator=0.5),
    case("none", scores, groups, mode="none", rho1=0.3),
    case("none, centred", scores, groups, mode="none", normalise="mean"),
    case("none, the others as baseline, one group of one", [1, 0, 1, 1], [0, 0, 0, 1], mode="none", normalise="leave-one-out"),
    case("all rejected", [0] * 4, [0] * 4, mode="backward", rho0=0.2),
    case("all accepted", [1] * 4, [0] * 4, rho1=0.1),
]


def surrogate(logits, tokens, advantage, old, mask=None, clip=0.2, aggregation="token-mean"):
    logits = torch.tensor(logits, requires_grad=True)
    log_probs = torch.log_softmax(logits, -1).gather(-1, torch.tensor(tokens)[..., None])[..., 0]
    ratio = torch.exp(log_probs - torch.tensor(old))
    a = torch.tensor(advantage)[:, None]
    losses = -torch.minimum(ratio * a, torch.clamp(ratio, 1 - clip, 1 + clip) * a)
    counts = torch.ones_like(ratio) if mask is None else torch.tensor(mask)
    if aggregation == "token-mean":
        loss = (losses * counts).sum() / counts.sum().clamp(min=1)
    elif aggregation == "sequence-mean":
        loss = ((losses * counts).sum(1) / counts.sum(1).clamp(min=1)).mean()
    else:
        loss = (losses * counts).sum(1).mean()
    loss.backward()
    total = counts.sum().clamp(min=1)
    return {"loss": loss.item(),
            "metrics": {"clippedShare": (((ratio - 1).abs() > clip) * counts).sum().item() / total.item(),
                        "meanRatio": (ratio * counts).sum().item() / total.item()},
            "gradients": {"logits": logits.grad.tolist()}}


B, L, V = 4, 3, 5
logits = rng.normal(size=(B, L, V)).round(3).tolist()
tokens = rng.integers(0, V, (B, L)).tolist()
now = torch.log_softmax(torch.tensor(logits), -1).gather(-1, torch.tensor(tokens)[..., None])[..., 0]
old = (now.numpy() + rng.normal(size=(B, L)) * 0.3).round(3).tolist()
advantage = [1.2, -0.7, 0.0, -2.0]
mask = [[1.0, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]]
integers = lambda rows: {"dataType": "int64", "shape": [len(rows), len(rows[0])], "data": [v for row in rows for v in row]}


def loss_case(name, tolerance=2e-5, masked=False, first=B, **options):
    given = dict(logits=logits[:first], tokens=tokens[:first], advantage=advantage[:first], old=old[:first])
    used = mask[:first] if masked else None
    return {"name": name, "options": {**options, **({"mask": "mask"} if masked else {})}, "tolerance": tolerance,
            "batch": {"tokens": integers(given["tokens"]), "advantage": given["advantage"], "oldLogProbs": given["old"], **({"mask": used} if masked else {})},
            "outputs": {"logits": given["logits"]}, "expected": surrogate(**given, mask=used, **options)}


losses = [
    loss_case("mean over tokens"),
    loss_case("mean over tokens, some masked", masked=True),
    loss_case("mean over sequences, some masked", masked=True, aggregation="sequence-mean"),
    loss_case("sums of sequences", aggregation="sequence-sum"),
    loss_case("sums of sequences, some masked, a narrow clip", masked=True, aggregation="sequence-sum", clip=0.05),
    loss_case("one sequence, a wide clip", first=1, clip=0.9),
]
torch_origin = "PyTorch " + torch.__version__.split("+")[0] + " float64, min(r·A, clip(r)·A) by autograd; tools/golden/noisy_verifiers.py."
cases += [{**losses[0], "name": "the objective: mean over tokens"}, {**losses[4], "name": "the objective: sums, masked, narrow clip"}]


def write(path, plugin, origin, items):
    (root / path).write_text(json.dumps({"contract": "reward", "plugin": plugin, "origin": origin, "cases": items}, separators=(",", ":"), ensure_ascii=False) + "\n")


write("packages/rewards/noisy-verifiers/golden/noisy-verifiers.json", "noisy-verifiers",
      "Cases 'by hand': worked on paper. Other advantages: NumPy " + np.__version__ + ". Objectives: " + torch_origin, cases)
(root / "packages/nn/golden").mkdir(exist_ok=True)
write("packages/nn/golden/clipped-surrogate.json", "clipped-surrogate", torch_origin, losses)
