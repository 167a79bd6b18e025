"""Golden vectors for the implementations by which the contract kits are tested: float64 NumPy, written from their definitions.

Run with numpy installed:  python tools/golden/contract_kits.py
Writes packages/testing/golden/*.json.
"""
import json
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).parents[2] / "packages/testing/golden"
OUT.mkdir(exist_ok=True)
ORIGIN = f"tools/golden/contract_kits.py, NumPy {np.__version__} in float64"
rng = np.random.default_rng(20261128)


def f32(*shape):
    """Float32 numbers, so that both sides start from the same ones."""
    return rng.normal(size=shape).astype(np.float32).astype(np.float64)


def listed(values):
    return {name: np.asarray(value).tolist() for name, value in values.items()}


def write(name, contract, cases, plugin=None):
    content = {"contract": contract, "plugin": plugin or name, "origin": ORIGIN, "cases": cases}
    (OUT / f"{name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


# Guarded Adam ---------------------------------------------------------------------------------------------------------


def guarded_adam(params, grads, learningRate=0.01, beta1=0.9, beta2=0.99, epsilon=1e-8, weightDecay=0.0, interval=3, slowRate=0.5):
    theta = {name: value.copy() for name, value in params.items()}
    mean = {name: np.zeros_like(value) for name, value in params.items()}
    square = {name: np.zeros_like(value) for name, value in params.items()}
    slow = {name: value.copy() for name, value in params.items()}
    visits = 0.0
    history = []
    for t, step in enumerate(grads, start=1):
        rate = learningRate / (1 + 0.1 * visits)
        if all(np.isfinite(g).all() for g in step.values()):
            for name, g in step.items():
                mean[name] = beta1 * mean[name] + (1 - beta1) * g
                square[name] = beta2 * square[name] + (1 - beta2) * g * g
                direction = mean[name] / (1 - beta1**t) / (np.sqrt(square[name] / (1 - beta2**t)) + epsilon)
                theta[name] = theta[name] * (1 - rate * weightDecay) - rate * direction
                if t % interval == 0:
                    slow[name] = slow[name] + slowRate * (theta[name] - slow[name])
                    theta[name] = slow[name].copy()
        if t % interval == 0 and t > 1:
            visits += 1
        history.append(
            {
                "step": t,
                "params": listed(theta),
                "state": listed(
                    {f"{group}/{name}": value for group, values in (("mean", mean), ("variance", square), ("slow", slow)) for name, value in values.items()}
                    | {"visits": visits}
                ),
            }
        )
    return history


params = {"w": f32(4, 5), "b": f32(5)}
grads = [{"w": f32(4, 5), "b": f32(5)} for _ in range(8)]
cases = []
for name, options in (
    ("defaults", {}),
    ("all options", {"learningRate": 0.1, "beta1": 0.8, "beta2": 0.95, "epsilon": 0.1, "weightDecay": 0.3, "interval": 4, "slowRate": 0.25}),
):
    cases.append(
        {
            "name": name,
            "options": options,
            "tolerance": 1e-5,
            "params": listed(params),
            "gradients": [listed(step) for step in grads],
            "expected": guarded_adam(params, grads, **options),
        }
    )
write("guarded-adam", "update-rule", cases)


# The hardest examples -------------------------------------------------------------------------------------------------


def hardest(feedback, examples=11, batchSize=3, decay=0.5):
    scores = np.ones(examples)
    draws = []
    for losses in feedback:
        ids = np.argsort(-scores, kind="stable")[:batchSize]
        draws.append({"ids": ids.tolist()})
        for at, loss in zip(ids, losses):
            scores[at] = decay * scores[at] + (1 - decay) * loss
    return draws


cases = []
for name, options in (("defaults", {}), ("all options", {"batchSize": 5, "decay": 0.2})):
    size = options.get("batchSize", 3)
    feedback = [np.abs(f32(size)) * 1.5 for _ in range(10)]
    cases.append(
        {
            "name": name,
            "options": options,
            "tolerance": 1e-6,
            "feedback": [{"loss": float(losses.mean()), "perExample": {"losses": losses.tolist()}} for losses in feedback],
            "draws": hardest(feedback, **options),
        }
    )
write("hardest-examples", "sampler", cases)


# Aggregators ----------------------------------------------------------------------------------------------------------


def averaged_mean(rounds, decay=0.3, rate=1.0):
    average = {name: np.zeros_like(value) for name, value in rounds[0][0]["values"].items()}
    results = []
    for number, sources in enumerate(rounds, start=1):
        total = sum(source["weight"] for source in sources)
        values = {}
        for name in average:
            mean = sum(source["weight"] * source["values"][name] for source in sources) / total
            average[name] = decay * average[name] + (1 - decay) * mean
            smooth = average[name] / (1 - decay**number)
            values[name] = smooth + rate * (mean - smooth)
        results.append({"values": listed(values), "state": listed({f"average/{name}": value for name, value in average.items()})})
    return results


def trimmed_mean(rounds, trim=0.2):
    results = []
    for sources in rounds:
        cut = int(np.floor(trim * len(sources) + 1e-9))
        values = {}
        for name in sources[0]["values"]:
            ordered = np.sort(np.stack([source["values"][name] for source in sources]), axis=0)
            values[name] = ordered[cut : len(sources) - cut].mean(axis=0)
        results.append({"values": listed(values)})
    return results


rounds = [
    [{"id": str(index), "weight": float(1 + (index * 2) % 5), "values": {"a": f32(2, 3), "b": f32(4)}} for index in range(count)]
    for count in (5, 4, 5, 7)
]


def aggregator_cases(combine, settings):
    return [
        {
            "name": name,
            "options": options,
            "tolerance": 1e-5,
            "rounds": [
                {
                    "sources": [{**source, "values": listed(source["values"])} for source in sources],
                    "expected": expected,
                }
                for sources, expected in zip(rounds, combine(rounds, **options))
            ],
        }
        for name, options in settings
    ]


write("averaged-mean", "aggregator", aggregator_cases(averaged_mean, [("defaults", {}), ("all options", {"decay": 0.8, "rate": 0.25})]))
write("trimmed", "aggregator", aggregator_cases(trimmed_mean, [("defaults", {}), ("two of five at either end", {"trim": 0.4})]))


# Masked Huber ---------------------------------------------------------------------------------------------------------


def huber(error, delta):
    return np.where(np.abs(error) <= delta, 0.5 * error**2, delta * (np.abs(error) - 0.5 * delta))


def masked_huber(output, target, mask, items, scores, groups, strength=1.0, delta=0.75, tolerance=0.5):
    error = output - target
    counts = np.maximum(mask.sum(axis=1), 1)
    losses = strength * (huber(error, delta) * mask).sum(axis=1) / counts
    gradient = strength * np.clip(error, -delta, delta) * mask / counts[:, None] / len(output)
    judged = []
    for answer, expected in items:
        try:
            judged.append(1 / (1 + abs(float(answer) - expected) / tolerance))
        except ValueError:
            judged.append(0.0)
    advantages = []
    for score, group in zip(judged, groups):
        members = np.array([other for other, place in zip(judged, groups) if place == group])
        advantages.append((score - members.mean()) / (members.std() + 1e-6))
    return {
        "expected": {
            "loss": float(losses.mean()),
            "metrics": {"masked": float(1 - mask.mean())},
            "perExample": {"loss": losses.tolist()},
            "gradients": {"output": gradient.tolist()},
        },
        "items": [{"answer": answer, "expected": expected} for answer, expected in items],
        "scores": judged,
        "groups": groups,
        "advantages": advantages,
    }


cases = []
for name, options in (("defaults", {}), ("all options", {"strength": 0.3, "delta": 0.2, "tolerance": 2.0})):
    output, target = 2 * f32(4, 3), f32(4, 3)
    mask = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], np.float64)
    items = [("1.5", 2.0), ("wrong", 1.0), ("-3", -3.0), ("8", 5.0), ("0.25", 0.0)]
    found = masked_huber(output, target, mask, items, None, [0, 0, 0, 1, 1], **options)
    cases.append(
        {
            "name": name,
            "options": options,
            "tolerance": 1e-5,
            "batch": listed({"target": target, "mask": mask}),
            "outputs": listed({"output": output}),
            **found,
        }
    )
write("masked-huber", "reward", cases)
