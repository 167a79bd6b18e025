"""Golden values for @updraft/sophia: the card's numbers, and an implementation in PyTorch in float64 after sophia.py and
train_sophiag.py of Liuhong99/Sophia, with the Hutchinson estimator of the paper beside it.

Run with a Python that has PyTorch:  python tools/golden/sophia.py
It writes golden/sophia.json (given gradients) and golden/sophia.cases.json (models, drawn targets and directions; also for
`updraft probe --cases`) of the package.
"""

import json
import pathlib

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
FOLDER = pathlib.Path(__file__).parents[2] / "packages/update-rules/sophia/golden"


def limited(grads, norm):
    """torch.nn.utils.clip_grad_norm_ without its 1e-6."""
    if norm is None:
        return grads
    total = torch.sqrt(sum((g**2).sum() for g in grads.values()))
    return {k: g * torch.clamp(norm / total, max=1) if total > 0 else g for k, g in grads.items()}


def refreshes(options, step):
    k = options.get("k", 10)
    return (step - 1) % k == 0 if options.get("refresh", "before") == "before" else step % k == 0


def run(kind, params, steps, options, gradient, estimate):
    """gradient(params, step) -> dict; estimate(params, step) -> (dict, B), the estimate without its factor B."""
    lr = options.get("learningRate", 1e-4)
    beta1, beta2 = options.get("beta1", 0.965), options.get("beta2", 0.99)
    rho = options.get("rho", 0.04 if kind == "g" else 0.01)
    eps = options.get("epsilon", 1e-15 if kind == "g" else 1e-12)
    decay, norm = options.get("weightDecay", 0.1), options.get("maximumNorm")
    params = {k: v.clone() for k, v in params.items()}
    m = {k: torch.zeros_like(v) for k, v in params.items()}
    # B·h is averaged as a whole; h alone is what the rule keeps.
    scaled = {k: torch.zeros_like(v) for k, v in params.items()}
    factor = None
    rows = []
    for step in range(1, steps + 1):
        grads = limited(gradient(params, step), norm)
        m = {k: beta1 * m[k] + (1 - beta1) * grads[k] for k in params}

        def refresh():
            nonlocal scaled, factor
            diagonal, factor = estimate(params, step)
            scaled = {k: beta2 * scaled[k] + (1 - beta2) * factor * diagonal[k] for k in params}

        if refreshes(options, step) and options.get("refresh", "before") == "before":
            refresh()
        won, count = 0, 0
        for k in params:
            curvature = rho * scaled[k]
            won += int((m[k].abs() < curvature).sum())
            count += m[k].numel()
            params[k] = params[k] * (1 - lr * decay)
            if kind == "g":
                params[k] = params[k] - lr * m[k].sign() * torch.clamp(m[k].abs() / (curvature + eps), max=1)
            else:
                params[k] = params[k] - lr * torch.clamp(m[k] / torch.clamp(curvature, min=eps), -1, 1)
        if refreshes(options, step) and options.get("refresh", "before") == "after":
            refresh()
        rows.append({"params": dict(params), "m": dict(m), "won": won / count,
                     "h": {k: v / (factor or 1) for k, v in scaled.items()}, "B": factor})
    return rows


def numbers(value, digits=7):
    return [numbers(v, digits) for v in value] if isinstance(value, list) else float(f"{value:.{digits + 3}g}")


def plain(tensors):
    return {k: numbers(v.tolist()) for k, v in tensors.items()}


def rounded(tensor, digits=3):
    return torch.round(tensor * 10**digits) / 10**digits


# Given gradients, for the kit.
def given(name, options, params, gradients, sampled, tolerance=1e-5, keep=None):
    params = {k: torch.tensor(v) for k, v in params.items()}
    read = lambda lists, step: {k: torch.tensor(v) for k, v in lists[step - 1].items()}
    norm = options.get("maximumNorm")

    def estimate(_, step):
        return {k: g**2 for k, g in limited(read(sampled, step), norm).items()}, options.get("batchTokens", 1)

    rows = run("g", params, len(gradients), options, lambda _, step: read(gradients, step), estimate)
    keep = keep or [1, 2, len(rows)]
    return {"name": name, "options": options, "tolerance": tolerance, "params": plain(params), "gradients": gradients,
            "sampledGradients": sampled,
            "expected": [{"step": s, "params": plain(rows[s - 1]["params"]),
                          "state": {**{f"momentum/{k}": numbers(v.tolist()) for k, v in rows[s - 1]["m"].items()},
                                    **{f"hessian/{k}": numbers(v.tolist()) for k, v in rows[s - 1]["h"].items()}}}
                         for s in keep]}


generator = torch.Generator().manual_seed(54)


def draws(count, zero=True):
    out = []
    for step in range(count):
        w = rounded(torch.randn(2, 3, generator=generator))
        b = rounded(torch.randn(3, generator=generator))
        if zero:
            w[0, 0] = 0
        if step % 3 == 1:
            b[1] = 0
        out.append({"w": w.tolist(), "b": b.tolist()})
    return out


START = {"w": rounded(torch.randn(2, 3, generator=generator)).tolist(), "b": rounded(torch.randn(3, generator=generator)).tolist()}
G, S = draws(12), draws(12)
by_hand = {
    "name": "two steps of the card, in the order of the script", "tolerance": 1e-6,
    "options": {"learningRate": 0.1, "rho": 0.04, "weightDecay": 0.2, "batchTokens": 8, "k": 1, "refresh": "after"},
    "params": {"w": [1, 1, 1]}, "gradients": [{"w": [0.5, -0.02, 0]}, {"w": [0.1, 0.03, 0.2]}],
    "sampledGradients": [{"w": [0.3, 2, 0.1]}, {"w": [0, 0, 0]}],
    "expected": [{"step": 1, "params": {"w": [0.88, 1.08, 0.98]},
                  "state": {"momentum/w": [0.0175, -0.0007, 0], "hessian/w": [0.0009, 0.04, 0.0001]}},
                 {"step": 2, "params": {"w": [0.7624, 1.05547422, 0.8604]}, "state": {"momentum/w": [0.0203875, 0.0003745, 0.007], "hessian/w": [0.000891, 0.0396, 0.000099]}}],
}
again = given("check", by_hand["options"], by_hand["params"], by_hand["gradients"], by_hand["sampledGradients"])
for wanted, found in zip(by_hand["expected"], again["expected"]):
    for a, b in zip(wanted["params"]["w"] + wanted["state"]["hessian/w"], found["params"]["w"] + found["state"]["hessian/w"]):
        assert abs(a - b) < 1e-8, (wanted, found)

golden = {
    "contract": "update-rule", "plugin": "sophia-g",
    "origin": "tools/golden/sophia.py: golden check 1 of the card, and PyTorch in float64 after sophia.py of Liuhong99/Sophia",
    "cases": [
        by_hand,
        given("defaults", {}, START, G, S),
        given("all numbers", {"learningRate": 0.05, "beta1": 0.8, "beta2": 0.7, "rho": 0.9, "k": 3, "weightDecay": 0.5,
                              "epsilon": 0.01, "batchTokens": 4}, START, G, S),
        given("after the step, limited norms", {"learningRate": 0.03, "rho": 2, "k": 4, "refresh": "after",
                                                "weightDecay": 0, "maximumNorm": 0.7, "beta2": 0.9}, START, G, S,
              keep=[3, 4, 5, 12]),
        given("every step", {"learningRate": 0.1, "rho": 0.3, "k": 1, "beta1": 0, "beta2": 0}, START, G, S),
        given("a curvature of nothing", {"learningRate": 0.1, "rho": 0, "weightDecay": 0}, START, G, S),
        given("one element, zero gradients", {"learningRate": 0.1, "rho": 1}, {"w": [2.0]}, [{"w": [0.0]}] * 3,
              [{"w": [0.0]}] * 3),
        given("extremes", {"learningRate": 0.5, "rho": 0.04, "batchTokens": 1e6, "k": 1, "weightDecay": 0},
              {"w": [1.0, -1.0, 3.0, 0.5]}, [{"w": [1e-12, 1e12, -1e-3, 1e5]}, {"w": [1e-12, -1e12, 1e-3, 1.0]}],
              [{"w": [1e-12, 1e9, 1e-2, 1e-9]}, {"w": [0.0, 1e9, 1e-2, 1e-9]}]),
    ],
}


# Models, for the probe.
def grads_of(loss, params):
    return dict(zip(params, torch.autograd.grad(loss, list(params.values()))))


def leaves(params):
    return {k: v.detach().clone().requires_grad_() for k, v in params.items()}


def expected(rows, keep, hessian=True):
    out = []
    for s in range(1, len(rows) + 1):
        row = rows[s - 1]
        out.append({"params": plain(row["params"]), "metrics": {"winRate": row["won"]},
                    "state": {**{f"momentum/{k}": numbers(v.tolist()) for k, v in row["m"].items()},
                              **({f"hessian/{k}": numbers(v.tolist()) for k, v in row["h"].items()} if hessian else {})}}
                   if s in keep else None)
    return {"steps": out}


def classify(name, options, sizes, shape=(), tolerance=None):
    """Softmax regression, with batches of the given sizes (and tokens of the given shape in each example)."""
    features, classes = 4, 3
    params = {"w": rounded(0.5 * torch.randn(features, classes, generator=generator))}
    batches, uniforms = [], []
    for size in sizes:
        x = rounded(torch.randn(size, *shape, features, generator=generator))
        labels = torch.randint(classes, (size, *shape), generator=generator)
        uniforms.append(rounded(torch.rand(size, *shape, classes, generator=generator), 4))
        batches.append({"x": x, "label": labels})

    def gradient(values, step):
        values = leaves(values)
        logits = batches[step - 1]["x"] @ values["w"]
        return grads_of(F.cross_entropy(logits.reshape(-1, classes), batches[step - 1]["label"].reshape(-1)), values)

    def estimate(values, step):
        values = leaves(values)
        logits = (batches[step - 1]["x"] @ values["w"]).reshape(-1, classes)
        drawn = (logits - torch.log(-torch.log(uniforms[step - 1].reshape(-1, classes)))).argmax(1)
        grads = limited(grads_of(F.cross_entropy(logits, drawn), values), options.get("maximumNorm"))
        return {k: g**2 for k, g in grads.items()}, options.get("batchTokens", drawn.numel())

    rows = run("g", params, len(sizes), options, gradient, estimate)
    return {"name": name, "plugin": "sophia-g", "tolerance": tolerance or {"absolute": 2e-6, "relative": 2e-5},
            "input": {"options": options, "params": plain(params), "reward": "cross-entropy",
                      "model": {"type": "expression", "outputs": {"logits": "x @ w"}},
                      "batches": [{"x": b["x"].tolist(), "label": b["label"].tolist()} for b in batches],
                      "noise": {"sampledLabels": [u.tolist() for u in uniforms]}},
            "expected": expected(rows, {1, 2, len(rows)})}


def bend(name, options, steps=12):
    """A small network with a squared error, whose Hessian has both signs."""
    params = {"w": rounded(torch.randn(2, 3, generator=generator)), "v": rounded(torch.randn(3, 1, generator=generator))}
    batches = [{"x": rounded(torch.randn(5, 2, generator=generator)), "y": rounded(torch.randn(5, 1, generator=generator))}
               for _ in range(steps)]
    signs = options.get("distribution") == "rademacher"
    noise = [{k: (torch.randint(0, 2, v.shape, generator=generator) * 2.0 - 1) if signs
              else rounded(torch.randn(v.shape, generator=generator)) for k, v in params.items()} for _ in range(steps)]
    loss = lambda p, step: ((torch.tanh(batches[step - 1]["x"] @ p["w"]) @ p["v"] - batches[step - 1]["y"]) ** 2).mean()

    def gradient(values, step):
        values = leaves(values)
        return grads_of(loss(values, step), values)

    def estimate(values, step):
        values = leaves(values)
        first = torch.autograd.grad(loss(values, step), list(values.values()), create_graph=True)
        u = noise[step - 1]
        product = sum((g * u[k]).sum() for k, g in zip(values, first))
        second = torch.autograd.grad(product, list(values.values()))
        return {k: u[k] * hu for k, hu in zip(values, second)}, 1

    rows = run("h", params, steps, options, gradient, estimate)
    return {"name": name, "plugin": "sophia-h", "tolerance": {"absolute": 5e-6, "relative": 5e-5},
            "input": {"options": options, "params": plain(params),
                      "model": {"type": "expression", "loss": "mean((tanh(x @ w) @ v - y)^2)"},
                      "batches": [{k: v.tolist() for k, v in b.items()} for b in batches],
                      "noise": {f"hutchinson/{k}": [n[k].tolist() for n in noise] for k in params}},
            "expected": expected(rows, {1, 2, steps})}


coins = [{"name": f"two classes, one feature, one example: the draw {uniform} gives exactly p(1−p)x² = 1", "plugin": "sophia-g",
          "tolerance": 1e-7,
          "input": {"options": {"beta2": 0}, "params": {"w": [[0, 0]]}, "reward": "cross-entropy",
                    "model": {"type": "expression", "outputs": {"logits": "x @ w"}},
                    "batches": [{"x": [[2]], "label": [0]}], "noise": {"sampledLabels": [[uniform]]}},
          "expected": {"steps": [{"state": {"hessian/w": [[1, 1]], "scale/batchTokens": 1}}]}}
         for uniform in ([0.9, 0.1], [0.1, 0.9], [0.5, 0.5])]
signs = [{"name": f"a diagonal Hessian is met exactly in the direction {u}", "plugin": "sophia-h", "tolerance": 1e-7,
          "input": {"options": {"beta2": 0, "distribution": "rademacher"}, "params": {"x": [1, 2, -3]},
                    "model": {"type": "quadratic", "A": [[2, 0, 0], [0, -0.5, 0], [0, 0, 0]]},
                    "noise": {"hutchinson/x": [u]}},
          "expected": {"steps": [{"state": {"hessian/x": [2, -0.5, 0]}}]}} for u in ([1, -1, 1], [-1, -1, -1])]

cases = {
    "origin": "tools/golden/sophia.py: golden checks 2 and 4 of the card, and PyTorch in float64",
    "cases": [
        *coins, *signs,
        classify("softmax regression", {"learningRate": 0.1, "rho": 2, "k": 5, "weightDecay": 0}, [6] * 12),
        classify("batches of other sizes", {"learningRate": 0.1, "rho": 0.5, "k": 2, "beta2": 0.8}, [6, 4, 1, 6, 2, 5] * 2),
        classify("after the step, limited norms", {"learningRate": 0.2, "rho": 1, "k": 3, "refresh": "after",
                                                   "maximumNorm": 0.1}, [4] * 12),
        classify("B given", {"learningRate": 0.1, "rho": 1, "k": 1, "batchTokens": 1, "beta1": 0.5}, [4] * 3),
        classify("tokens: B is examples times length", {"learningRate": 0.1, "rho": 1, "k": 1}, [2] * 3, shape=(3,)),
        bend("a bent loss", {"learningRate": 0.02, "k": 3, "rho": 1, "beta2": 0.5, "beta1": 0.9}),
        bend("a bent loss, after the step", {"learningRate": 0.05, "k": 4, "rho": 0.5, "beta2": 0, "refresh": "after",
                                             "weightDecay": 0, "epsilon": 0.02}),
        bend("a bent loss, directions of signs", {"learningRate": 0.02, "k": 1, "distribution": "rademacher", "rho": 3}),
    ],
}
FOLDER.mkdir(exist_ok=True)
for name, value in (("sophia.json", golden), ("sophia.cases.json", cases)):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    (FOLDER / name).write_text(text + "\n")
    print(name, len(text))
