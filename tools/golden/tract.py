"""Golden values for @updraft/tract: the checks of the card, the official backward passes in PyTorch, and NumPy over steps.

Run with a Python that has PyTorch:  python tools/golden/tract.py packages/update-rules/tract/golden/convolutions.json > packages/update-rules/tract/golden/tract.json
"""

import json
import sys

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(21)
rng = np.random.default_rng(21)


def rounded(*shape, scale=1.0):
    return np.round(rng.normal(size=shape) * scale, 3)


def tract(rows, dz, lam):
    """Step 2 with a plain solve: rows [b, n], dz [b, m]; the gradient [m, n]."""
    b, n = rows.shape
    return np.linalg.solve(rows.T @ rows / b + lam * np.eye(n), rows.T @ dz).T


cases = []


def case(name, expected, tolerance, **given):
    cases.append({"name": name, "plugin": "tract", "tolerance": tolerance, "input": given, "expected": expected})


def call(name, X, dz, lam, expected, tolerance, **options):
    case(name, {"result": {"gradient": np.asarray(expected).tolist()}}, tolerance, call="tractGradient",
         arguments=[{"tensor": np.asarray(X).tolist()}, {"tensor": np.asarray(dz).tolist()}, {"lambda": lam, **options}])


# The checks of the card.
X1, dz1 = [[1, 2], [3, -1], [0, 1]], [[0.1], [-0.2], [0.3]]
X2, dz2 = [[1, 2, 0, -1], [3, -1, 1, 0]], [[0.1], [-0.2]]
for form in ("auto", "primal", "dual"):
    call(f"card 1, {form}", X1, dz1, 0.1, [[-0.11504148, 0.31507278]], 1e-6, form=form)
    call(f"card 2, {form}", X2, dz2, 0.1, [[-0.07890123, 0.11630625, -0.03915839, -0.03857393]], 1e-6, form=form)
call("card 3: a pixel twice as bright", [[1, 0], [0, 2]], [[1], [1]], 0.1, [[1.66666667, 0.95238095]], 1e-6)
call("card 4: λ·G' is G for a large λ", X1, dz1, 1e6, [[-0.5e-6, 0.7e-6]], 1e-10)
call("zero gradient", X1, [[0], [0], [0]], 0.1, [[0, 0]], 1e-12)
call("one row, one input, one output", [[2]], [[3]], 0.5, [[6 / 4.5]], 1e-6)
call("a row of zeros", [[0, 0], [1, 2]], [[1], [0.5]], 0.1, tract(np.array([[0, 0], [1.0, 2]]), np.array([[1], [0.5]]), 0.1), 1e-6)
for scale in (1e3, 1e-3):
    X = rounded(6, 3)
    dz = rounded(6, 2)
    want = tract(X * scale, dz, 0.1)
    call(f"inputs times {scale}", (X * scale), dz, 0.1, want, float(2e-5 * np.abs(want).max()))
for b, n, m, lam in ((8, 5, 3, 0.05), (4, 9, 2, 0.2), (40, 12, 4, 0.01)):
    X, dz = rounded(b, n), rounded(b, m)
    want = tract(X, dz, lam)
    for form in ("primal", "dual"):
        call(f"{b} rows, {n} inputs, λ = {lam}, {form}", X, dz, lam, want, float(2e-5 * np.abs(want).max()), form=form)


def steps_of(rule, params, batches, gradients_of, treated, lam):
    """Parameters after every step; `rule` is a torch optimiser over the tensors of params."""
    tensors = {k: torch.tensor(v) for k, v in params.items()}
    optimiser = rule([tensors[k] for k in tensors])
    out = []
    for step, batch in enumerate(batches, 1):
        grads = gradients_of(tensors, batch)
        grads[treated] = grads[treated](lam)
        for k, t in tensors.items():
            t.grad = grads[k]
        optimiser.step()
        out.append({"step": step, "params": {k: t.tolist() for k, t in tensors.items()}})
    return out


# A regression in which both layers learn; the first is treated as torch's TrActLinear would be.
def mlp_gradients(tensors, batch):
    leaves = {k: t.clone().requires_grad_() for k, t in tensors.items()}
    x, y = torch.tensor(batch["x"]), torch.tensor(batch["y"])
    z = x @ leaves["first.weight"] + leaves["first.bias"]
    z.retain_grad()
    loss = ((torch.tanh(z) @ leaves["last.weight"] - y) ** 2).mean()
    loss.backward()
    grads = {k: leaf.grad for k, leaf in leaves.items()}
    flat = lambda t: t.detach().reshape(-1, t.shape[-1]).numpy()
    grads["first.weight"] = lambda lam: torch.tensor(tract(flat(x), flat(z.grad), lam).T.copy())
    return grads


MODEL = "mean((tanh(x @ first.weight + first.bias) @ last.weight - y)^2)"
start = {"first.weight": rounded(4, 3, scale=0.5), "first.bias": rounded(3, scale=0.5), "last.weight": rounded(3, 2)}
lists = lambda values: {k: np.asarray(v).tolist() for k, v in values.items()}


def training(name, rule, inner, batches, lam, **options):
    expected = steps_of(rule, start, batches, mlp_gradients, "first.weight", lam)
    case(name, {"steps": expected}, 2e-5,
         options={"inner": inner, "lambda": lam, **options}, params=lists(start),
         model={"type": "expression", "loss": MODEL}, batches=[lists(b) for b in batches])


batch = lambda b=6: {"x": rounded(b, 4), "y": rounded(b, 2)}
many = [batch() for _ in range(12)]
momentum = lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9, weight_decay=0.01)
training("momentum and weight decay, 12 steps", momentum,
         {"updateRule": "sgd", "options": {"learningRate": 0.05, "momentum": 0.9, "weightDecay": 0.01}}, many, 0.1)
adam = lambda ps: torch.optim.Adam(ps, lr=0.02)
training("adam, 12 steps, named layer, dual", adam, {"updateRule": "adam", "options": {"learningRate": 0.02}}, many, 0.2,
         layer="first", form="dual")
training("fewer rows than inputs", momentum,
         {"updateRule": "sgd", "options": {"learningRate": 0.05, "momentum": 0.9, "weightDecay": 0.01}},
         [batch(2) for _ in range(3)], 0.1)
training("one example", adam, {"updateRule": "adam", "options": {"learningRate": 0.02}}, [batch(1) for _ in range(3)], 0.1,
         layer="first.weight")
sequences = [{"x": rounded(2, 3, 4), "y": rounded(2, 3, 2)} for _ in range(3)]
training("leading axes are rows", momentum,
         {"updateRule": "sgd", "options": {"learningRate": 0.05, "momentum": 0.9, "weightDecay": 0.01}}, sequences, 0.1)

# The weight as the card writes it, [m, n], used transposed, with the default optimiser.
W, X, dz = rounded(2, 3), rounded(5, 3), rounded(5, 2)
case("W is [m, n] and used as x Wᵀ", {"steps": [{"params": {"W": (W - 0.5 * tract(X, dz, 0.1)).tolist()}}]}, 2e-6,
     options={"inner": {"updateRule": "sgd", "options": {"learningRate": 0.5}}}, params={"W": W.tolist()},
     model={"type": "expression", "loss": "sum((X @ W.T) * dz)"}, batches=[{"X": X.tolist(), "dz": dz.tolist()}])
case("the default optimiser is SGD with 0.01", {"steps": [{"params": {"W": (W - 0.01 * tract(X, dz, 0.1)).tolist()}}]}, 2e-6,
     params={"W": W.tolist()}, model={"type": "expression", "loss": "sum((X @ W.T) * dz)"},
     batches=[{"X": X.tolist(), "dz": dz.tolist()}])


# Convolutions, through torch's unfold as in the official TrActConv2d; run by the tests, since formulas have none.
convolutions = []
for name, options in (
    ("valid", {}),
    ("padding and stride", {"stride": 2, "padding": 1}),
    ("dilation", {"dilation": 2}),
    ("patches", {"stride": 3}),
):
    x, w = torch.tensor(rounded(2, 2, 6, 7)), torch.tensor(rounded(3, 2, 3, 3))
    w.requires_grad_()
    z = torch.nn.functional.conv2d(x, w, **options)
    dz = torch.tensor(rounded(*z.shape))
    unfolded = torch.nn.functional.unfold(x, (3, 3), **options)
    rows = unfolded.transpose(1, 2).reshape(-1, unfolded.shape[1]).numpy()
    flat = dz.transpose(0, 1).reshape(dz.shape[1], -1).T.numpy()
    (plain,) = torch.autograd.grad((z * dz).sum(), w)
    assert np.allclose(rows.T @ flat, plain.reshape(3, -1).T.numpy())
    convolutions.append({"name": name, "options": options, "x": x.tolist(), "weight": w.tolist(), "dz": dz.tolist(),
                         "gradient": tract(rows, flat, 0.1).reshape(w.shape).tolist()})

json.dump({"origin": "tools/golden/tract.py: the golden checks of the card, and PyTorch and NumPy in float64 after src/tract.py of Felix-Petersen/tract",
           "cases": cases}, sys.stdout, separators=(",", ":"))
if len(sys.argv) > 1:
    json.dump({"origin": "tools/golden/tract.py: torch.nn.functional.unfold as in TrActConv2d", "convolutions": convolutions},
              open(sys.argv[1], "w"), separators=(",", ":"))
