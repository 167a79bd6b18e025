"""Golden vectors for the standard update rules: 5 steps of optax and PyTorch on fixed gradients.

Run with optax, jax and torch installed:  python tools/golden/update_rules.py
Writes packages/rules/golden/update-rules.json.
"""
import json
import pathlib

import jax

jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
import optax
import torch

STEPS = 5
rng = np.random.default_rng(20260101)
SHAPES = {"matrix": (4, 6), "tall": (6, 3), "bias": (5,)}
PARAMS = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
GRADS = [{name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()} for _ in range(STEPS)]


def run_optax(transformation, names):
    params = {name: jnp.asarray(PARAMS[name], jnp.float64) for name in names}
    state = transformation.init(params)
    trajectory = []
    for grads in GRADS:
        updates, state = transformation.update({name: jnp.asarray(grads[name], jnp.float64) for name in names}, state, params)
        params = optax.apply_updates(params, updates)
        trajectory.append({name: np.asarray(value).ravel().tolist() for name, value in params.items()})
    return trajectory


def run_torch(make, names):
    params = {name: torch.nn.Parameter(torch.tensor(PARAMS[name], dtype=torch.float64)) for name in names}
    optimizer = make(list(params.values()))
    trajectory = []
    for grads in GRADS:
        for name, value in params.items():
            value.grad = torch.tensor(grads[name], dtype=torch.float64)
        optimizer.step()
        trajectory.append({name: value.detach().numpy().ravel().tolist() for name, value in params.items()})
    return trajectory


ALL = list(SHAPES)
cases = []


def case(rule, options, trajectory, origin, names=ALL):
    cases.append({"rule": rule, "options": options, "origin": origin, "names": names, "trajectory": trajectory})


torch_name = f"torch {torch.__version__.split('+')[0]}"
optax_name = f"optax {optax.__version__}"

case("sgd", {"learningRate": 0.1}, run_torch(lambda p: torch.optim.SGD(p, lr=0.1), ALL), torch_name)
case("sgd", {"learningRate": 0.1, "momentum": 0.9}, run_torch(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), ALL), torch_name)
case(
    "sgd",
    {"learningRate": 0.1, "momentum": 0.8, "nesterov": True, "weightDecay": 0.05},
    run_torch(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.05), ALL),
    torch_name,
)
case("rmsprop", {"learningRate": 0.01}, run_torch(lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9), ALL), torch_name)
case(
    "rmsprop",
    {"learningRate": 0.01, "decay": 0.95, "epsilon": 1e-6, "centered": True, "momentum": 0.7},
    run_torch(lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.95, eps=1e-6, centered=True, momentum=0.7), ALL),
    torch_name,
)
case("adam", {}, run_torch(lambda p: torch.optim.Adam(p), ALL), torch_name)
case(
    "adam",
    {"learningRate": 0.05, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3},
    run_torch(lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-3), ALL),
    torch_name,
)
case("adamw", {"learningRate": 0.02, "weightDecay": 0.1}, run_torch(lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.1), ALL), torch_name)
case(
    "adafactor",
    {"learningRate": 0.03, "minimumFactoredSize": 3},
    run_optax(optax.adafactor(0.03, min_dim_size_to_factor=3), ALL),
    optax_name,
)
case(
    "adafactor",
    {"learningRate": 0.03, "scaleByParameter": False, "clippingThreshold": None, "decayRate": 0.6, "weightDecay": 0.01},
    run_optax(
        optax.adafactor(0.03, multiply_by_parameter_scale=False, clipping_threshold=None, decay_rate=0.6, weight_decay_rate=0.01), ALL
    ),
    optax_name,
)
matrices = ["matrix", "tall"]


def muon_reference(lr, momentum, nesterov, steps, weight_decay):
    """Muon written out in NumPy from the reference implementation of Jordan et al. (2024)."""
    params = {name: PARAMS[name].astype(np.float64) for name in matrices}
    buffers = {name: np.zeros_like(params[name]) for name in matrices}
    trajectory = []
    for grads in GRADS:
        for name in matrices:
            g = grads[name].astype(np.float64)
            buffers[name] = momentum * buffers[name] + (1 - momentum) * g
            direction = momentum * buffers[name] + (1 - momentum) * g if nesterov else buffers[name]
            x = direction / (np.linalg.norm(direction) + 1e-8)
            transposed = x.shape[0] > x.shape[1]
            x = x.T if transposed else x
            for _ in range(steps):
                gram = x @ x.T
                x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
            x = x.T if transposed else x
            scale = max(1, x.shape[1] / x.shape[0]) ** 0.5
            params[name] = params[name] * (1 - lr * weight_decay) - lr * scale * x
        trajectory.append({name: params[name].ravel().tolist() for name in matrices})
    return trajectory


case("muon", {}, muon_reference(0.02, 0.95, True, 5, 0), "NumPy, written out from the reference implementation", matrices)
case(
    "muon",
    {"learningRate": 0.1, "momentum": 0.9, "nesterov": False, "iterations": 3, "weightDecay": 0.2},
    muon_reference(0.1, 0.9, False, 3, 0.2),
    "NumPy, written out from the reference implementation",
    matrices,
)


def chained(*parts):
    return run_optax(optax.chain(*parts), ALL)


case("clipByValue+sgd", {"limit": 0.3, "learningRate": 0.1}, chained(optax.clip(0.3), optax.sgd(0.1)), optax_name)
case("clipByGlobalNorm+sgd", {"limit": 0.7, "learningRate": 0.1}, chained(optax.clip_by_global_norm(0.7), optax.sgd(0.1)), optax_name)
case(
    "clipByNorm+sgd",
    {"limit": 0.5, "learningRate": 0.1},
    run_optax(optax.partition({n: optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1)) for n in ALL}, {n: n for n in ALL}), ALL),
    optax_name,
)

out = pathlib.Path(__file__).parents[2] / "packages/rules/golden/update-rules.json"
out.write_text(
    json.dumps(
        {
            "origin": "tools/golden/update_rules.py, float64",
            "shapes": SHAPES,
            "params": {name: value.ravel().tolist() for name, value in PARAMS.items()},
            "grads": [{name: value.ravel().tolist() for name, value in grads.items()} for grads in GRADS],
            "cases": cases,
        }
    )
    + "\n"
)
print(len(cases), "cases")
