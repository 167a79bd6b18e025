"""Golden values for @updraft/monna: PyTorch in float64 after aggregators/cva.py, attacks/identical.py, attacks/signflipping.py,
tools/misc.py (line_maximize) and the training loop of peerToPeer.py of LPD-EPFL/robust-collaborative-learning.

Run with a Python that has PyTorch:  python tools/golden/monna.py
It writes monna.json (mixing), polyak-momentum.json (local steps), attacks.json and peers.json (whole runs) to
packages/aggregators/monna/golden.
"""

import json
import pathlib

import torch

torch.set_default_dtype(torch.float64)
OUT = pathlib.Path(__file__).parents[2] / "packages/aggregators/monna/golden"
SOURCE = "tools/golden/monna.py: PyTorch in float64 after LPD-EPFL/robust-collaborative-learning"
generator = torch.Generator().manual_seed(60)


def normal(*shape):
    return (torch.randn(*shape, generator=generator) * 1000).round() / 1000


def nna(models, f, own):
    """cva.aggregate with honest_index; the own model first where distances are equal."""
    order = [own] + [i for i in range(len(models)) if i != own]
    scores = [(i, (models[i] - models[own]).norm().item()) for i in order]
    scores = [(i, float("inf") if d != d else d) for i, d in scores]
    scores.sort(key=lambda x: x[1])
    return torch.stack([models[scores[j][0]] for j in range(len(models) - f)]).mean(dim=0)


# Mixing.
SHAPES = {"matrix": (2, 3), "vector": (2,), "scalar": ()}
SIZE = 9


def named(vector):
    values, at = {}, 0
    for name, shape in SHAPES.items():
        count = int(torch.tensor(shape).prod()) if shape else 1
        values[name] = vector[at:at + count].reshape(shape).tolist()
        at += count
    return values


def mixing(name, rounds, f, tolerance=1e-5, own=3, write=named):
    return {"name": name, "options": {"f": f}, "tolerance": tolerance,
            "rounds": [{"sources": [{"id": str(i), "weight": 1, "values": write(m)} for i, m in enumerate(models)],
                        "expected": {"values": write(nna(models, f, own))}} for models in rounds]}


# The five points of the card; each is the own one, at position 3, in turn.
points = [torch.tensor(p) for p in ([0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [10.0, 10.0], [1.2, 1.2])]


def with_own(own):
    others = [p for i, p in enumerate(points) if i != own]
    return others[:3] + [points[own]] + others[3:]


by_card = {"points": lambda v: {"x": v.tolist()}}
cases = [mixing(f"the card, point {own} its own", [with_own(own)], 1, write=by_card["points"]) for own in range(5)]
for f, count in ((0, 4), (0, 6), (1, 4), (1, 7), (2, 5), (2, 9), (3, 12), (5, 26)):
    cases.append(mixing(f"{count} models, {f} of attackers", [[normal(SIZE) for _ in range(count)] for _ in range(3)], f))
far = [normal(SIZE) for _ in range(5)]
cases += [
    mixing("attackers far away", [far + [torch.full((SIZE,), 1e15), torch.full((SIZE,), -1e20)]], 2),
    mixing("models that hardly differ", [[1 + 1e-3 * normal(SIZE) for _ in range(6)]], 1),
    mixing("tiny models", [[1e-25 * normal(SIZE) for _ in range(6)]], 2, 1e-5),
    mixing("huge models", [[1e25 * normal(SIZE) for _ in range(6)]], 2, 1e-5),
    mixing("one tensor large, the near ones differ in the others",
           [[torch.cat([100 + normal(6) / 100, normal(3)]) for _ in range(7)]], 2),
    mixing("consensus, with attackers around", [[torch.full((SIZE,), 0.3)] * 5 + [normal(SIZE), torch.full((SIZE,), 0.3)]], 2),
    mixing("equally far: the first are taken", [[torch.full((SIZE,), s) for s in (1.0, -1.0, 1.0, 0.0, -1.0, 1.0)]], 2),
]
(OUT / "monna.json").write_text(json.dumps(
    {"contract": "aggregator", "plugin": "monna", "origin": SOURCE + "; five points of the card by hand", "cases": cases},
    separators=(",", ":")) + "\n")


# Local steps.
def momentum_case(name, options, tolerance=1e-6, start=None):
    rate, beta = options.get("learningRate", 0.75), options.get("beta", 0.99)
    penalty, kind = options.get("penalty", 0), options.get("penaltyOf", "square")
    params = start or {"w": normal(2, 3), "b": normal(3)}
    params = {k: v.clone().requires_grad_(True) for k, v in params.items()}
    case = {"name": name, "options": options, "tolerance": tolerance, "params": {k: v.tolist() for k, v in params.items()}, "gradients": [], "expected": []}
    momentum = {k: torch.zeros_like(v) for k, v in params.items()}
    for step in range(1, 13):
        g = {k: normal(*v.shape) * (step != 5) for k, v in params.items()}
        case["gradients"].append({k: v.tolist() for k, v in g.items()})
        for p in params.values():
            p.grad = None
        flat = torch.cat([p.reshape(-1) for p in params.values()])
        loss = sum((params[k] * g[k]).sum() for k in params)
        if penalty:
            loss = loss + (penalty * flat.norm() if kind == "norm" else penalty / 2 * (flat ** 2).sum())
        loss.backward()
        with torch.no_grad():
            for k, p in params.items():
                momentum[k].mul_(beta).add_(p.grad, alpha=1 - beta)
                p.add_(momentum[k], alpha=-rate)
        if step in (1, 2, 6, 12):
            case["expected"].append({"step": step, "params": {k: v.tolist() for k, v in params.items()},
                                     "state": {f"momentum/{k}": v.tolist() for k, v in momentum.items()}})
    return case


by_hand = {"name": "two steps with one gradient, by hand", "options": {"learningRate": 0.5, "beta": 0.9}, "tolerance": 1e-6,
           "params": {"x": [1.0]}, "gradients": [{"x": [2.0]}, {"x": [2.0]}],
           "expected": [{"step": 1, "params": {"x": [0.9]}, "state": {"momentum/x": [0.2]}},
                        {"step": 2, "params": {"x": [0.71]}, "state": {"momentum/x": [0.38]}}]}
steps = [
    by_hand,
    momentum_case("defaults", {}),
    momentum_case("plain gradient descent", {"learningRate": 0.2, "beta": 0}),
    momentum_case("squared penalty", {"learningRate": 0.3, "beta": 0.9, "penalty": 0.4}),
    momentum_case("penalty of the norm", {"learningRate": 0.3, "beta": 0.8, "penalty": 0.4, "penaltyOf": "norm"}),
    momentum_case("penalty of the norm from zero", {"penalty": 0.4, "penaltyOf": "norm"}, start={"w": torch.zeros(2, 3), "b": torch.zeros(3)}),
]
(OUT / "polyak-momentum.json").write_text(json.dumps(
    {"contract": "update-rule", "plugin": "polyak-momentum", "origin": SOURCE, "cases": steps}, separators=(",", ":")) + "\n")


# Attacks.
def line_maximize(scape, evals=16, start=0., delta=1., ratio=0.8):
    best_x, best_y = start, scape(start)
    evals -= 1
    while evals > 0:
        prop_x = best_x + delta
        prop_y = scape(prop_x)
        evals -= 1
        if prop_y > best_y:
            best_y, best_x = prop_y, prop_x
            delta *= 2
        else:
            delta *= ratio
            break
    while evals > 0:
        if prop_x < best_x:
            prop_x += delta
        else:
            x = prop_x - delta
            while x < 0:
                x = (x + prop_x) / 2
            prop_x = x
        prop_y = scape(prop_x)
        evals -= 1
        if prop_y > best_y:
            best_y, best_x = prop_y, prop_x
        delta *= ratio
    return best_x


def damage(honest, attack, f):
    models = honest + [attack] * f
    mixed = torch.stack([nna(models, f, i) for i in range(len(honest))])
    difference = mixed.mean(dim=0) - torch.stack(honest).mean(dim=0)
    return difference.dot(difference).item()


def directed(honest, direction, f, factor=None, evaluations=16):
    mean = torch.stack(honest).mean(dim=0)
    if factor is None:
        factor = line_maximize(lambda e: damage(honest, mean + e * direction, f), evaluations)
    return factor, mean + factor * direction


def empire(honest):
    return -torch.stack(honest).mean(dim=0)


def little(honest):
    return torch.stack(honest).var(dim=0).sqrt()


rows = []
for honest, f, evaluations in ((4, 1, 16), (6, 2, 16), (10, 2, 16), (5, 2, 4), (6, 1, 1), (8, 3, 40)):
    models = [normal(5) + 1 for _ in range(honest)]
    for name, direction in (("fallOfEmpires", empire), ("aLittleIsEnough", little)):
        factor, vector = directed(models, direction(models), f, None, evaluations)
        rows.append({"attack": name, "honest": [m.tolist() for m in models], "f": f, "evaluations": evaluations,
                     "factor": factor, "damage": damage(models, vector, f), "vector": vector.tolist()})
searches = []
for name, function in (("peak", lambda x: -(x - 11.3) ** 2), ("falling", lambda x: -x), ("rising", lambda x: x), ("flat", lambda x: 1.0), ("near zero", lambda x: -(x - 0.07) ** 2)):
    for evaluations in (1, 2, 3, 8, 16, 40):
        searches.append({"function": name, "evaluations": evaluations, "x": line_maximize(function, evaluations)})
(OUT / "attacks.json").write_text(json.dumps({"origin": SOURCE, "attacks": rows, "searches": searches}, separators=(",", ":")) + "\n")


# Whole runs: honest peers with a network of two layers each, and f attackers; everybody hears everybody.
HONEST, ROWS, BATCH, ROUNDS = 6, 6, 3, 15
data = [{"x": normal(ROWS, 3), "y": normal(ROWS, 1) / 2 + index / 4} for index in range(HONEST)]
initial = {"first": normal(3, 4), "second": normal(4, 1)}


def predict(x, params):
    return torch.tanh(x @ params["first"]) @ params["second"]


def peers(name, f, attack, rule, mixing="nna"):
    rate, beta = rule["learningRate"], rule["beta"]
    names = list(initial)
    vector = torch.cat([initial[k].reshape(-1) for k in names])
    thetas, momenta = [vector.clone() for _ in range(HONEST)], [torch.zeros_like(vector) for _ in range(HONEST)]
    split = lambda v: {"first": v[:12].reshape(3, 4), "second": v[12:].reshape(4, 1)}
    expected = []
    for t in range(ROUNDS):
        for i in range(HONEST):
            at = t * BATCH % ROWS
            batch = {k: v[at:at + BATCH] for k, v in data[i].items()}
            theta = thetas[i].clone().requires_grad_(True)
            ((predict(batch["x"], split(theta)) - batch["y"]) ** 2).mean().backward()
            momenta[i] = beta * momenta[i] + (1 - beta) * theta.grad
        gamma = rate if not isinstance(rate, dict) else rate["from"] / (rate["every"] * (t // rate["every"]) / rate["half"] + 1)
        halves = [theta - gamma * m for theta, m in zip(thetas, momenta)]
        if attack["name"] == "signFlip":
            byzantine = -torch.stack(halves).mean(dim=0)
        else:
            byzantine = directed(halves, (empire if attack["name"] == "fallOfEmpires" else little)(halves), f, attack.get("factor"))[1]
        models = halves + [byzantine] * f
        thetas = [nna(models, f, i) for i in range(HONEST)]
        if t + 1 in (1, 3, ROUNDS):
            expected.append({"round": t + 1, "models": [v.tolist() for v in thetas]})
    return {"name": name, "f": f, "attack": attack, "rule": rule, "expected": expected}


schedule = {"from": 0.3, "half": 4, "every": 5}
runs = [
    peers("sign flipping", 2, {"name": "signFlip"}, {"learningRate": 0.1, "beta": 0.9}),
    peers("a little is enough, factor 1", 2, {"name": "aLittleIsEnough", "factor": 1.0}, {"learningRate": 0.1, "beta": 0.9}),
    peers("a little is enough, factor 1, no momentum", 2, {"name": "aLittleIsEnough", "factor": 1.0}, {"learningRate": 0.1, "beta": 0}),
    peers("a little is enough, the worst factor", 1, {"name": "aLittleIsEnough"}, {"learningRate": 0.1, "beta": 0.5}),
    peers("fall of empires, the worst factor", 2, {"name": "fallOfEmpires"}, {"learningRate": 0.1, "beta": 0.5}),
    peers("a rate that falls", 1, {"name": "signFlip"}, {"learningRate": schedule, "beta": 0.6}),
]
(OUT / "peers.json").write_text(json.dumps(
    {"origin": SOURCE, "batchSize": BATCH, "data": [{k: v.tolist() for k, v in d.items()} for d in data],
     "initial": {k: v.tolist() for k, v in initial.items()}, "cases": runs}, separators=(",", ":")) + "\n")
