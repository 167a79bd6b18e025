"""Golden values for @updraft/barlow-twins and for lars of @updraft/rules: the numbers of the method worked by hand, and an
implementation in PyTorch, in float64.

Run with a Python that has PyTorch:  python tools/golden/barlow_twins.py
Writes packages/rewards/barlow-twins/golden/barlow-twins.json and packages/rules/golden/lars.json.
"""

import json
import pathlib

import torch

torch.set_default_dtype(torch.float64)
root = pathlib.Path(__file__).parents[2]


def off_diagonal(x):
    """Entries of a square matrix outside of its diagonal."""
    return x[~torch.eye(len(x), dtype=torch.bool)]


def barlow(za, zb, lambd=0.0051, eps=1e-5, invariance=True):
    """The loss, standardised by nn.BatchNorm1d(D, affine=False) as in the authors' code."""
    za, zb = (torch.tensor(z, requires_grad=True) for z in (za, zb))
    if za.shape[0] > 1:
        bn = torch.nn.BatchNorm1d(za.shape[1], eps=eps, affine=False, track_running_stats=False)
        normal = bn
    else:
        # PyTorch refuses batches of one; their centred values are 0.
        normal = lambda z: (z - z.mean(0)) / torch.sqrt(z.var(0, unbiased=False) + eps)
    c = normal(za).T @ normal(zb) / za.shape[0]
    on = ((1 - torch.diagonal(c)) ** 2).sum()
    off = (off_diagonal(c) ** 2).sum() if c.shape[0] > 1 else c.sum() * 0
    loss = (on if invariance else 0) + lambd * off
    loss.backward()
    mean = off_diagonal(c).abs().mean().item() if c.shape[0] > 1 else 0.0
    return {
        "loss": loss.item(),
        "metrics": {"onDiag": on.item(), "offDiag": off.item(), "meanOffDiag": mean},
        "gradients": {"zA": za.grad.tolist(), "zB": zb.grad.tolist()},
    }


def reward_case(name, za, zb, options, tolerance=2e-5):
    values = {"lambd": options.get("lambda", 0.0051), "eps": options.get("epsilon", 1e-5), "invariance": options.get("invariance", True)}
    return {"name": name, "options": options, "tolerance": tolerance, "outputs": {"zA": za, "zB": zb}, "expected": barlow(za, zb, **values)}


first = ([[1.0, 0], [0, 1], [-1, 0], [0, -1]], [[1.0, 1], [0, 1], [-1, -1], [0, -1]])
hand = [
    ("by hand: loss and parts, eps 0", *first, {"epsilon": 0}, {"loss": 0.0883364, "metrics": {"onDiag": 0.0857864, "offDiag": 0.5}}),
    ("by hand: lambda 0.5", *first, {"epsilon": 0, "lambda": 0.5},
     {"loss": 0.3357864, "gradients": {"zA": [[0, -0.207107], [0.25, 0], [0, 0.207107], [-0.25, 0]]}}),
    ("by hand: the default eps", *first, {}, {"loss": 0.0883426}),
    ("by hand: opposite views", first[0], [[-a for a in row] for row in first[0]], {"epsilon": 0}, {"loss": 8}),
]
cases = [{"name": name, "options": options, "tolerance": 3e-6, "outputs": {"zA": a, "zB": b}, "expected": expected}
         for name, a, b, options, expected in hand]

generator = torch.Generator().manual_seed(100)
rounded = lambda *shape: [[round(v, 3) for v in row] for row in torch.randn(*shape, generator=generator).tolist()]
a, b = rounded(7, 5), rounded(7, 5)
near = [[round(x + 0.3 * y, 3) for x, y in zip(p, q)] for p, q in zip(a, b)]
cases += [
    reward_case("PyTorch: independent views", a, b, {}),
    reward_case("PyTorch: views that agree, lambda 0.05", a, near, {"lambda": 0.05}),
    reward_case("PyTorch: no redundancy term", a, near, {"lambda": 0}),
    reward_case("PyTorch: no invariance term", a, near, {"invariance": False, "lambda": 1}),
    reward_case("PyTorch: eps as large as the variance", a, near, {"epsilon": 1, "lambda": 0.3}),
    reward_case("PyTorch: a feature without variance", [[0.25, *row[1:]] for row in a], near, {"lambda": 0.1}),
    reward_case("PyTorch: one feature", [[row[0]] for row in a], [[row[0]] for row in near], {}),
    reward_case("PyTorch: a batch of one", a[:1], near[:1], {}),
    reward_case("PyTorch: a batch of two, fewer than features", a[:2], near[:2], {"lambda": 0.5}, 2e-4),
    reward_case("PyTorch: other scales and offsets", [[100 * x + 30 for x in row] for row in a], [[0.5 * x - 2 for x in row] for row in near], {}, 1e-4),
]
for one in cases[4:]:
    for group in one["expected"]["gradients"].values():
        for row in group:
            row[:] = [0.0 if abs(v) < 1e-12 else v for v in row]
origin = ("Cases 'by hand': worked on paper. Others: PyTorch " + torch.__version__.split("+")[0] +
          " float64, nn.BatchNorm1d(affine=False), gradients by autograd; tools/golden/barlow_twins.py.")
(root / "packages/rewards/barlow-twins/golden/barlow-twins.json").write_text(
    json.dumps({"contract": "reward", "plugin": "barlow-twins", "origin": origin, "cases": cases}, separators=(",", ":")) + "\n")


def lars(params, gradients, learningRate=0.2, momentum=0.9, weightDecay=1e-6, eta=1e-3, excludeOneD=True):
    """Layer-wise adaptive rate scaling; parameters with one axis are left out of decay and scaling."""
    theta = {k: torch.tensor(v) for k, v in params.items()}
    velocity = {k: torch.zeros_like(v) for k, v in theta.items()}
    for grads in gradients:
        for name in theta:
            g = torch.tensor(grads[name])
            if theta[name].ndim > 1 or not excludeOneD:
                g = g + weightDecay * theta[name]
                own, other = theta[name].norm().item(), g.norm().item()
                if own > 0 and other > 0:
                    g = g * (eta * own / other)
            velocity[name] = momentum * velocity[name] + g
            theta[name] = theta[name] - learningRate * velocity[name]
        yield {k: v.tolist() for k, v in theta.items()}, {f"velocity/{k}": v.tolist() for k, v in velocity.items()}


start = {"w": rounded(3, 2), "b": rounded(1, 3)[0], "zero": [[0.0, 0.0], [0.0, 0.0]]}
steps = [{"w": rounded(3, 2), "b": rounded(1, 3)[0], "zero": rounded(2, 2)} for _ in range(12)]
steps[4] = {k: (torch.tensor(v) * 0).tolist() for k, v in steps[4].items()}
rules = []
for name, options in [
    ("defaults", {}),
    ("decay and a large trust coefficient", {"weightDecay": 0.3, "eta": 0.5, "learningRate": 0.1}),
    ("vectors too", {"excludeOneD": False, "eta": 0.2, "weightDecay": 0.1}),
    ("without momentum", {"momentum": 0, "eta": 0.1}),
]:
    expected = [{"step": i, "params": p, "state": s} for i, (p, s) in enumerate(lars(start, steps, **options), 1) if i in (1, 2, 5, 12)]
    rules.append({"name": name, "options": options, "tolerance": 1e-5, "params": start, "gradients": steps, "expected": expected})
origin = ("PyTorch " + torch.__version__.split("+")[0] +
          " float64, LARS as the authors of Barlow Twins describe it, biases excluded from decay and scaling; tools/golden/barlow_twins.py.")
(root / "packages/rules/golden/lars.json").write_text(
    json.dumps({"contract": "update-rule", "plugin": "lars", "origin": origin, "cases": rules}, separators=(",", ":")) + "\n")
