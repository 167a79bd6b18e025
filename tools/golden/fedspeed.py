"""Golden values for @updraft/fedspeed: an implementation in PyTorch (float64) after client/fedspeed.py, server/FedSpeed.py
and optimizer/ESAM.py of woodenchild95/FL-Simulator, which it follows call by call: weight decay + lambda inside SGD, the
dual term as a loss of its own, the limit in between.

Run with a Python that has PyTorch:  python tools/golden/fedspeed.py
It writes fedspeed.json (the client alone, on given gradients) and federation.json (whole federations) to
packages/aggregators/fedspeed/golden.
"""

import json
import pathlib

import torch

torch.set_default_dtype(torch.float64)
OUT = pathlib.Path(__file__).parents[2] / "packages/aggregators/fedspeed/golden"
SOURCE = "tools/golden/fedspeed.py: PyTorch in float64 after woodenchild95/FL-Simulator"


class Client:
    """One client: `h`, and with relaxed initialisation its last model."""

    def __init__(self, start, learningRate=0.1, learningRateDecay=1.0, rho=0.1, alpha=1.0, adaptive=False,
                 weightDecay=1e-3, clipNorm=10.0, clipScope="partial", correction=True, relaxedInitialization=False,
                 beta=0.1, **rest):
        self.lamb = rest.pop("lambda", 0.1)
        assert not rest, rest
        self.__dict__.update({k: v for k, v in locals().items() if k not in ("self", "start", "rest")})
        self.h = {k: torch.zeros_like(v) for k, v in start.items()}
        self.last = {k: v.clone() for k, v in start.items()}

    def begin(self, received, round):
        self.w = {k: v.clone() for k, v in received.items()}
        if self.relaxedInitialization:
            self.w = {k: v + self.beta * (v - self.last[k]) for k, v in received.items()}
        self.x = {k: v.clone().requires_grad_(True) for k, v in self.w.items()}
        # The schedule of the server, self.lr *= lr_decay after every round.
        self.optimizer = torch.optim.SGD(list(self.x.values()), lr=self.learningRate * self.learningRateDecay ** (round - 1),
                                         weight_decay=self.weightDecay + self.lamb)

    def grads(self, loss):
        self.optimizer.zero_grad()
        loss(self.x).backward()
        return {k: v.grad.clone() for k, v in self.x.items()}

    def step(self, loss):
        first = self.grads(loss)
        # ESAM.first_step
        norm = torch.norm(torch.stack([((self.x[k].detach().abs() if self.adaptive else 1.0) * g).norm(p=2) for k, g in first.items()]), p=2)
        scale = self.rho / (norm + 1e-7)
        e = {k: (self.x[k].detach() ** 2 if self.adaptive else 1.0) * g * scale for k, g in first.items()}
        with torch.no_grad():
            for k in self.x:
                self.x[k].add_(e[k])
        second = self.grads(loss)
        with torch.no_grad():
            for k in self.x:
                self.x[k].sub_(e[k])
                self.x[k].grad.copy_((1 - self.alpha) * first[k] + self.alpha * second[k])
        correct = self.lamb * sum((self.x[k] * (self.h[k] - self.w[k])).sum() for k in self.x)
        correct.backward()
        grads = [v.grad for v in self.x.values()]
        if self.clipScope == "whole":
            with torch.no_grad():
                for v in self.x.values():
                    v.grad.add_(v, alpha=self.weightDecay + self.lamb)
        total = torch.norm(torch.stack([g.norm() for g in grads]))
        if total > self.clipNorm:
            for g in grads:
                g.mul_(self.clipNorm / total)
        if self.clipScope == "whole":
            with torch.no_grad():
                for v in self.x.values():
                    v.grad.sub_(v, alpha=self.weightDecay + self.lamb)
        self.optimizer.step()

    def end(self):
        x = {k: v.detach().clone() for k, v in self.x.items()}
        u = {k: x[k] - self.w[k] for k in x}
        if self.correction:
            self.h = {k: self.h[k] + u[k] for k in x}
        self.last = x
        return x, u


def nested(values):
    return {k: v.detach().numpy().round(12).tolist() for k, v in values.items()}


generator = torch.Generator().manual_seed(104)


def normal(*shape):
    return (torch.randn(*shape, generator=generator) * 1000).round() / 1000


# The client alone. The loss is linear, as in the runner of golden values, so that both gradients are the given one.
def local_case(name, options, tolerance=1e-5, scale=1.0):
    start, gradients = {"w": normal(2, 3), "b": normal(3)}, []
    for step in range(12):
        g = {"w": normal(2, 3) * scale, "b": normal(3) * scale}
        if step == 3:
            g = {k: torch.zeros_like(v) for k, v in g.items()}
        gradients.append(g)
    client = Client(start, **options)
    client.begin(start, 1)
    expected = []
    for step, g in enumerate(gradients, 1):
        client.step(lambda x: sum((x[k] * g[k]).sum() for k in x))
        if step in (1, 2, 6, 12):
            expected.append({"step": step, "params": nested(client.x)})
    return {"name": name, "options": options, "tolerance": tolerance, "params": nested(start),
            "gradients": [nested(g) for g in gradients], "expected": expected}


local = [
    local_case("defaults", {}),
    local_case("all numbers", {"learningRate": 0.05, "lambda": 0.4, "rho": 0.3, "alpha": 0.6, "weightDecay": 0.2}),
    local_case("limited as the code does", {"clipNorm": 1.5, "lambda": 0.7, "weightDecay": 0.1}),
    local_case("the whole direction limited", {"clipNorm": 1.5, "lambda": 0.7, "weightDecay": 0.1, "clipScope": "whole"}),
    local_case("gradients a thousand times as large", {}, scale=1000.0),
]
(OUT / "fedspeed.json").write_text(json.dumps(
    {"contract": "update-rule", "plugin": "fedspeed", "origin": SOURCE, "cases": local}, separators=(",", ":")) + "\n")


# Whole federations: four clients, a network of two layers, squared error.
CLIENTS, ROWS, BATCH, STEPS, ROUNDS = 4, 6, 2, 4, 12
data = [{"x": normal(ROWS, 3), "y": normal(ROWS, 1) / 2 + index / 4} for index in range(CLIENTS)]
initial = {"first": normal(3, 4), "second": normal(4, 1)}


def predict(x, params):
    return torch.tanh(x @ params["first"]) @ params["second"]


def federation(name, client={}, server={}, participants=None, **extra):
    clients = [Client(initial, **client) for _ in range(CLIENTS)]
    position = [0] * CLIENTS
    w, rows = {k: v.clone() for k, v in initial.items()}, []
    for round in range(1, ROUNDS + 1):
        chosen = range(CLIENTS) if participants is None else participants[round - 1]
        models = []
        for i in chosen:
            clients[i].begin(w, round)
            for _ in range(STEPS):
                at = position[i] % ROWS
                position[i] += BATCH
                batch = {k: v[at:at + BATCH] for k, v in data[i].items()}
                clients[i].step(lambda params: ((predict(batch["x"], params) - batch["y"]) ** 2).mean())
            models.append(clients[i].end()[0])
        averaged = range(CLIENTS) if server.get("correctionMean", "all") == "all" else chosen
        # Averaged_model + mean of h_params_list
        w = {k: torch.stack([m[k] for m in models]).mean(0) + torch.stack([clients[i].h[k] for i in averaged]).mean(0) for k in w}
        if round in (1, 2, 6, ROUNDS):
            rows.append({"round": round, "params": nested(w)})
    return {"name": name, "client": client, "server": server, **extra, "expected": rows,
            "corrections": [nested(c.h) for c in clients]}


# Two of four clients a round, as federate draws them with the seed 5.
DRAWN = [[0, 1], [1, 3], [1, 2], [2, 3], [1, 3], [0, 2], [1, 3], [1, 2], [0, 2], [0, 3], [2, 3], [2, 3]]
cases = [
    federation("defaults"),
    federation("the rate falls as in the official code", {"learningRateDecay": 0.998}),
    federation("mean over those who take part", server={"correctionMean": "sampled"}),
    federation("two clients a round, mean over all", participants=DRAWN, drawn=DRAWN),
    federation("two clients a round, mean over the two", server={"correctionMean": "sampled"}, participants=DRAWN, drawn=DRAWN),
    federation("half of the gradient from uphill", {"alpha": 0.5, "rho": 0.4, "learningRate": 0.05}),
    federation("no ascent", {"rho": 0, "lambda": 0.3}),
    federation("adaptive ascent", {"adaptive": True, "rho": 0.3}),
    federation("limited as the code does", {"clipNorm": 0.8}),
    federation("the whole direction limited", {"clipNorm": 0.8, "clipScope": "whole"}),
    federation("weight decay and a rate that falls", {"weightDecay": 0.05, "learningRateDecay": 0.8}),
    federation("relaxed initialisation", {"relaxedInitialization": True, "beta": 0.3}, participants=DRAWN, drawn=DRAWN),
]
(OUT / "federation.json").write_text(json.dumps(
    {"origin": SOURCE, "batchSize": BATCH, "localSteps": STEPS, "rounds": ROUNDS,
     "data": [nested(d) for d in data], "initial": nested(initial), "cases": cases}, separators=(",", ":")) + "\n")
