"""Golden outputs of layers: PyTorch in float64 on fixed weights.

Run with torch installed:  python tools/golden/layers.py
Writes packages/nn/golden/layers.json.
"""
import json
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

rng = np.random.default_rng(7)


def draw(*shape):
    return rng.normal(size=shape).astype(np.float32) * 0.5


def flat(value):
    return np.asarray(value.detach().numpy() if isinstance(value, torch.Tensor) else value, np.float64).ravel().tolist()


cases = []


def case(name, x, params, y):
    cases.append(
        {
            "name": name,
            "x": {"dims": list(x.shape), "data": flat(x)},
            "params": {key: {"dims": list(value.shape), "data": flat(value)} for key, value in params.items()},
            "y": {"dims": list(y.shape), "data": flat(y)},
        }
    )


to64 = lambda value: torch.tensor(value, dtype=torch.float64)

# Multi-head attention, causal, heads 2; weights are stored [in, out] here and [out, in] in PyTorch.
x, width, heads = draw(2, 5, 8), 8, 2
qkv, qkv_bias, out, out_bias = draw(8, 24), draw(24), draw(8, 8), draw(8)
attention = nn.MultiheadAttention(width, heads, batch_first=True, dtype=torch.float64)
attention.in_proj_weight.data, attention.in_proj_bias.data = to64(qkv.T), to64(qkv_bias)
attention.out_proj.weight.data, attention.out_proj.bias.data = to64(out.T), to64(out_bias)
mask = torch.triu(torch.full((5, 5), -torch.inf, dtype=torch.float64), 1)
attention_params = {"attention.qkv.weight": qkv, "attention.qkv.bias": qkv_bias, "attention.output.weight": out, "attention.output.bias": out_bias}
case("attention-causal", x, attention_params, attention(to64(x), to64(x), to64(x), attn_mask=mask)[0])
case("attention", x, attention_params, attention(to64(x), to64(x), to64(x))[0])

# LSTM: PyTorch orders gates input, forget, cell, output, and has two biases.
x, units = draw(3, 4, 5), 6
weight, recurrent, bias = draw(5, 24), draw(6, 24), draw(24)
lstm = nn.LSTM(5, units, batch_first=True, dtype=torch.float64)
lstm.weight_ih_l0.data, lstm.weight_hh_l0.data = to64(weight.T), to64(recurrent.T)
lstm.bias_ih_l0.data, lstm.bias_hh_l0.data = to64(bias), torch.zeros(24, dtype=torch.float64)
case("lstm", x, {"lstm.weight": weight, "lstm.recurrent": recurrent, "lstm.bias": bias}, lstm(to64(x))[0])

# GRU: PyTorch orders gates reset, update, new.
weight, recurrent, bias = draw(5, 18), draw(6, 18), draw(18)
gru = nn.GRU(5, units, batch_first=True, dtype=torch.float64)
gru.weight_ih_l0.data, gru.weight_hh_l0.data = to64(weight.T), to64(recurrent.T)
gru.bias_ih_l0.data, gru.bias_hh_l0.data = to64(bias), torch.zeros(18, dtype=torch.float64)
case("gru", x, {"gru.weight": weight, "gru.recurrent": recurrent, "gru.bias": bias}, gru(to64(x))[0])

x, gain, bias = draw(3, 4, 6), draw(6), draw(6)
case("layer-norm", x, {"norm.gain": gain, "norm.bias": bias}, F.layer_norm(to64(x), (6,), to64(gain), to64(bias)))
case("rms-norm", x, {"norm.gain": gain}, F.rms_norm(to64(x), (6,), to64(gain), 1e-6))
x, gain, bias = draw(2, 4, 3, 3), draw(4), draw(4)
case("group-norm", x, {"norm.gain": gain, "norm.bias": bias}, F.group_norm(to64(x), 2, to64(gain), to64(bias)))
case("batch-norm-training", x, {"norm.gain": gain, "norm.bias": bias}, F.batch_norm(to64(x), None, None, to64(gain), to64(bias), training=True))
kernel, bias = draw(6, 2, 3, 3), draw(6)
case("convolution", x, {"conv.weight": kernel, "conv.bias": bias}, F.conv2d(to64(x), to64(kernel), to64(bias), stride=2, padding=1, groups=2))

out = pathlib.Path(__file__).parents[2] / "packages/nn/golden/layers.json"
out.parent.mkdir(exist_ok=True)
out.write_text(json.dumps({"origin": f"tools/golden/layers.py, torch {torch.__version__.split('+')[0]}, float64", "cases": cases}) + "\n")
print(len(cases), "cases")
