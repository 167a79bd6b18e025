"""Golden derivatives where conventions differ between frameworks: PyTorch autograd in float64.

Run with torch installed:  python tools/golden/derivatives.py
Writes packages/autodiff/golden/derivatives.json.

Each case has inputs, options of the operator, a gradient for each output, and what PyTorch makes of them. Some
conventions of Updraft are not PyTorch's and have tests of their own: the square root has the derivative 0 at 0 (PyTorch:
infinity), Clip has 1 at its bounds (PyTorch: 0 in 2.15, 1 in earlier versions), ties of three or more operands of Max share
equally (PyTorch has two operands only), and so do ties of a global maximum (PyTorch: the first).
"""
import json
import pathlib

import numpy as np
import torch
from torch.nn import functional as F

rng = np.random.default_rng(23)
cases = []


def draw(*shape, low=-1.0, high=1.0):
    return np.round(rng.uniform(low, high, size=shape), 3)


def plain(value):
    array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    numbers = [float(f"{number:.9g}") for number in array.astype(np.float64).ravel()]
    return {"dims": list(array.shape), "data": numbers}


def case(name, operator, options, inputs, function, integers=()):
    """`integers`: positions of inputs that are indices or flags."""
    tensors = [
        torch.tensor(value, dtype=torch.int64 if at in integers else torch.float64, requires_grad=at not in integers)
        for at, value in enumerate(np.asarray(value) for value in inputs)
    ]
    outputs = function(*tensors)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    seeds = [torch.tensor(draw(*output.shape, low=0.2, high=1.0)) for output in outputs]
    loss = sum((output * seed).sum() for output, seed in zip(outputs, seeds))
    variables = [tensor for at, tensor in enumerate(tensors) if at not in integers]
    found = torch.autograd.grad(loss, variables)
    cases.append(
        {
            "name": name,
            "operator": operator,
            "options": options,
            "inputs": [{**plain(tensor), **({"whole": True} if at in integers else {})} for at, tensor in enumerate(tensors)],
            "seeds": [plain(seed) for seed in seeds],
            "outputs": [plain(output) for output in outputs],
            "gradients": [plain(gradient) for gradient in found],
        }
    )


# Ties share the gradient, or the first one has it.
TIED = [[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]]
OTHER = [[1.0, 0.5, 2.0], [3.0, 4.0, 3.0]]
case("ties of two operands", "Max", {}, [TIED, OTHER], torch.maximum)
case("ties of two operands", "Min", {}, [TIED, OTHER], torch.minimum)
case("ties along an axis", "ReduceMax", {"axes": [1]}, [TIED], lambda x: x.amax(1, keepdim=True))
case("ties over all", "ReduceMax", {"axes": [0, 1]}, [TIED], lambda x: x.amax((0, 1), keepdim=True))
case("ties along an axis", "ReduceMin", {"axes": [0]}, [[[1.0, 2.0], [1.0, 0.0], [2.0, 0.0]]], lambda x: x.amin(0, keepdim=True))
case("ties: lower index first", "TopK", {"k": 2}, [[[2.0, 1.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0]]], lambda x: torch.sort(x, dim=1, descending=True, stable=True).values[:, :2])
FLAT = np.array([[[[1.0, 1.0, 0.0, 2.0], [1.0, 1.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0], [0.0, 3.0, 3.0, 0.0]]]])
case("ties in windows", "MaxPool", {"kernelShape": [2, 2], "strides": [2, 2]}, [FLAT], lambda x: F.max_pool2d(x, 2, 2))
case("ties in overlapping windows", "MaxPool", {"kernelShape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]}, [FLAT], lambda x: F.max_pool2d(x, 3, 1, 1))
case("dilated, sizes rounded up", "MaxPool", {"kernelShape": [2, 2], "strides": [2, 2], "dilations": [2, 2], "ceilMode": True}, [draw(1, 2, 6, 5)], lambda x: F.max_pool2d(x, 2, 2, dilation=2, ceil_mode=True))
case("inside and outside", "Clip", {"low": -1.0, "high": 1.0}, [[-2.0, -0.9, 0.0, 0.9, 2.0]], lambda x: x.clamp(-1.0, 1.0))
for reduction, named in (("max", "amax"), ("min", "amin"), ("mul", "prod"), ("add", "sum")):
    case(f"{reduction}, with ties", "ScatterElements", {"reduction": reduction, "axis": 1}, [[[1.0, 2.0, 3.0], [0.5, 2.0, 1.0]], [[2, 1], [0, 1]], [[3.0, 1.5], [2.0, 2.0]]], lambda x, i, u, how=named: x.scatter_reduce(1, i, u, how), integers=(1,))

# Kinks.
SIGNS = [-1.5, -0.5, 0.0, 0.5, 1.5]
for operator, function in {
    "Abs": torch.abs,
    "Relu": torch.relu,
    "LeakyRelu": lambda x: F.leaky_relu(x, 0.2),
    "Elu": lambda x: F.elu(x, 1.3),
    "Celu": lambda x: F.celu(x, 0.7),
    "Selu": F.selu,
    "Softsign": F.softsign,
    "Sign": torch.sign,
    "Round": torch.round,
}.items():
    case("at zero", operator, {"alpha": {"LeakyRelu": 0.2, "Elu": 1.3, "Celu": 0.7}.get(operator, 1.0)}, [SIGNS], function)
case("at zero", "PRelu", {}, [SIGNS, [0.25]], F.prelu)
case("at the bounds", "HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, [[-4.0, -3.0, 0.0, 3.0, 4.0]], F.hardsigmoid)
case("at the bounds", "HardSwish", {}, [[-4.0, -3.0, 0.0, 3.0, 4.0]], F.hardswish)
case("at the threshold", "ThresholdedRelu", {"alpha": 0.5}, [SIGNS], lambda x: F.threshold(x, 0.5, 0.0))
case("hard, at the threshold", "Shrink", {"lambd": 0.5, "bias": 0.0}, [SIGNS], lambda x: F.hardshrink(x, 0.5))
case("soft, at the threshold", "Shrink", {"lambd": 0.5, "bias": 0.5}, [SIGNS], lambda x: F.softshrink(x, 0.5))
ZEROS = [[0.0, 0.0], [3.0, 4.0], [0.0, -2.0]]
case("1-norm with zeros", "ReduceL1", {"axes": [1]}, [ZEROS], lambda x: x.abs().sum(1, keepdim=True))
case("2-norm of zeros", "ReduceL2", {"axes": [1]}, [ZEROS], lambda x: torch.linalg.vector_norm(x, dim=1, keepdim=True))
case("no, one and two zeros", "ReduceProd", {"axes": [1]}, [[[2.0, 3.0, 4.0], [2.0, 0.0, 4.0], [0.0, 3.0, 0.0]]], lambda x: torch.stack([row.prod() for row in x]).unsqueeze(1))
case("base zero", "Pow", {}, [[0.0, 0.0, 0.0, 2.0, 2.0], [1.0, 2.0, 3.0, 0.0, -1.0]], torch.pow)
case("power zero", "Pow", {}, [[3.0, 1.0], [0.0, 0.0]], torch.pow)
case("both signs", "Mod", {}, [[5.5, -5.5, 5.5, -5.5], [2.0, 2.0, -2.0, -2.0]], torch.fmod)
for approximate in ("none", "tanh"):
    case(approximate, "Gelu", {"approximate": approximate}, [SIGNS], lambda x, how=approximate: F.gelu(x, approximate=how))
case("smooth", "Mish", {}, [SIGNS], F.mish)
case("smooth", "Softplus", {}, [SIGNS], F.softplus)

# Coordinates.
IMAGE = draw(1, 2, 3, 4)
for size in ([5, 7], [2, 3]):
    common = {"sizes": [1, 2, *size]}
    label = f"to {size[0]} × {size[1]}"
    case(f"nearest {label}", "Resize", {**common, "mode": "nearest", "coordinateTransformationMode": "asymmetric", "nearestMode": "floor"}, [IMAGE], lambda x, to=size: F.interpolate(x, to, mode="nearest"))
    case(f"nearest-exact {label}", "Resize", {**common, "mode": "nearest", "coordinateTransformationMode": "half_pixel", "nearestMode": "round_prefer_ceil"}, [IMAGE], lambda x, to=size: F.interpolate(x, to, mode="nearest-exact"))
    for align in (False, True):
        coordinates = "align_corners" if align else "pytorch_half_pixel"
        case(f"linear {label}, {coordinates}", "Resize", {**common, "mode": "linear", "coordinateTransformationMode": coordinates}, [IMAGE], lambda x, to=size, corners=align: F.interpolate(x, to, mode="bilinear", align_corners=corners))
        case(f"cubic {label}, {coordinates}", "Resize", {**common, "mode": "cubic", "coordinateTransformationMode": coordinates, "cubicCoefficient": -0.75}, [IMAGE], lambda x, to=size, corners=align: F.interpolate(x, to, mode="bicubic", align_corners=corners))
GRID = draw(1, 3, 2, 2, low=-1.4, high=1.4)
for mode, named in (("linear", "bilinear"), ("nearest", "nearest")):
    for padding in ("zeros", "border", "reflection"):
        for align in (False, True):
            case(f"{mode}, {padding}, {'corners' if align else 'edges'}", "GridSample", {"mode": mode, "paddingMode": padding, "alignCorners": align}, [IMAGE, GRID], lambda x, grid, m=named, p=padding, a=align: F.grid_sample(x, grid, mode=m, padding_mode=p, align_corners=a))
for align in (False, True):
    case("corners" if align else "edges", "AffineGrid", {"size": [1, 1, 3, 2], "alignCorners": align}, [draw(1, 2, 3)], lambda theta, a=align: F.affine_grid(theta, [1, 1, 3, 2], align_corners=a))

# Padding.
for mode, named in (("constant", "constant"), ("reflect", "reflect"), ("edge", "replicate"), ("wrap", "circular")):
    case(mode, "Pad", {"mode": mode, "pads": [0, 0, 1, 2, 0, 0, 2, 1]}, [IMAGE], lambda x, how=named: F.pad(x, (2, 1, 1, 2), mode=how))
case("cropping", "Pad", {"mode": "constant", "pads": [0, 0, -1, 1, 0, 0, 0, -2]}, [IMAGE], lambda x: F.pad(x, (1, -2, -1, 0)))
CHANNELS = draw(2, 2, 4, 3)
case("output padding", "ConvTranspose", {"strides": [2, 3], "pads": [1, 0, 1, 0], "outputPadding": [1, 2]}, [CHANNELS, draw(2, 3, 3, 2), draw(3)], lambda x, w, b: F.conv_transpose2d(x, w, b, stride=(2, 3), padding=(1, 0), output_padding=(1, 2)))
case("groups and dilation", "ConvTranspose", {"dilations": [2, 1], "group": 2}, [CHANNELS, draw(2, 1, 2, 2)], lambda x, w: F.conv_transpose2d(x, w, dilation=(2, 1), groups=2))
case("stride that drops rows", "Conv", {"strides": [3, 2], "pads": [0, 1, 0, 1]}, [CHANNELS, draw(3, 2, 2, 2), draw(3)], lambda x, w, b: F.conv2d(x, w, b, stride=(3, 2), padding=(0, 1)))
case("same size, even kernel", "Conv", {"autoPad": "SAME_UPPER"}, [CHANNELS, draw(2, 2, 2, 2)], lambda x, w: F.conv2d(x, w, padding="same"))
case("groups and dilation", "Conv", {"dilations": [2, 1], "group": 2, "pads": [2, 1, 2, 1]}, [CHANNELS, draw(4, 1, 3, 3)], lambda x, w: F.conv2d(x, w, padding=(2, 1), dilation=(2, 1), groups=2))
for include in (False, True):
    for ceil in (False, True):
        case(f"padding {'counts' if include else 'does not count'}, sizes rounded {'up' if ceil else 'down'}", "AveragePool", {"kernelShape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceilMode": ceil, "countIncludePad": include}, [draw(1, 1, 6, 4)], lambda x, c=ceil, i=include: F.avg_pool2d(x, 3, 2, 1, ceil_mode=c, count_include_pad=i))
case("3-norm", "LpPool", {"kernelShape": [2, 2], "strides": [1, 2], "p": 3}, [draw(1, 1, 3, 4, low=0.2)], lambda x: F.lp_pool2d(x, 3, (2, 2), (1, 2)))
case("overlapping blocks", "Col2Im", {"imageShape": [4, 3], "blockShape": [2, 2], "strides": [1, 2], "dilations": [2, 1], "pads": [1, 0, 1, 1]}, [draw(1, 4, 8)[:, :, :8]], lambda x: F.fold(F.pad(x, (0, 0)), (4, 4), (2, 2), dilation=(2, 1), padding=(1, 0), stride=(1, 2))[..., :3])
case("CRD", "DepthToSpace", {"block": 2}, [draw(1, 8, 2, 1)], lambda x: F.pixel_shuffle(x, 2))
case("blocks", "MaxUnpool", {"kernelShape": [2, 2], "strides": [2, 2], "outputShape": [1, 1, 4, 4]}, [draw(1, 1, 2, 2), [[[[1, 2], [8, 15]]]]], lambda x, i: F.max_unpool2d(x, i, 2, 2), integers=(1,))

# Statistics.
SCALE, SHIFT = draw(4, low=0.5, high=1.5), draw(4)
FEATURES = draw(3, 4, 2, 2)
MEAN, VARIANCE = draw(4), draw(4, low=0.5, high=1.5)
case("training", "BatchNormalization", {"training": True, "epsilon": 1e-3}, [FEATURES, SCALE, SHIFT], lambda x, s, b: F.batch_norm(x, None, None, s, b, training=True, eps=1e-3))
case("inference", "BatchNormalization", {"training": False, "epsilon": 1e-3}, [FEATURES, SCALE, SHIFT, MEAN, VARIANCE], lambda x, s, b, m, v: (x - m.reshape(1, 4, 1, 1)) / torch.sqrt(v.reshape(1, 4, 1, 1) + 1e-3) * s.reshape(1, 4, 1, 1) + b.reshape(1, 4, 1, 1))
case("two groups", "GroupNormalization", {"groups": 2, "epsilon": 1e-3}, [FEATURES, SCALE, SHIFT], lambda x, s, b: F.group_norm(x, 2, s, b, eps=1e-3))
case("per channel", "InstanceNormalization", {"epsilon": 1e-3}, [FEATURES, SCALE, SHIFT], lambda x, s, b: F.instance_norm(x, weight=s, bias=b, eps=1e-3))
case("two axes", "LayerNormalization", {"axis": -2, "epsilon": 1e-3}, [draw(2, 3, 4), draw(3, 4), draw(3, 4)], lambda x, s, b: F.layer_norm(x, (3, 4), s, b, eps=1e-3))
case("one axis", "RMSNormalization", {"axis": -1, "epsilon": 1e-3}, [draw(2, 3, 4), SCALE], lambda x, s: F.rms_norm(x, (4,), s, eps=1e-3))
case("five channels", "LRN", {"size": 5, "alpha": 0.3, "beta": 0.6, "bias": 1.2}, [draw(1, 6, 2, 1)], lambda x: F.local_response_norm(x, 5, 0.3, 0.6, 1.2))
case("2-norm", "LpNormalization", {"axis": 1, "p": 2}, [draw(2, 4)], lambda x: F.normalize(x, dim=1))
case("inner axis", "Softmax", {"axis": 1}, [draw(2, 3, 2)], lambda x: torch.softmax(x, 1))
case("inner axis", "LogSoftmax", {"axis": 1}, [draw(2, 3, 2)], lambda x: torch.log_softmax(x, 1))

# Losses.
SCORES, LABELS, CLASS_WEIGHTS = draw(3, 4, 2), [[1, 3], [0, 3], [2, 1]], draw(4, low=0.3)
for operator, function in (("SoftmaxCrossEntropyLoss", F.cross_entropy), ("NegativeLogLikelihoodLoss", F.nll_loss)):
    for reduction in ("mean", "sum", "none"):
        weights = torch.tensor(CLASS_WEIGHTS)
        case(f"{reduction}, weights and an ignored label", operator, {"reduction": reduction, "ignoreIndex": 3, "weights": CLASS_WEIGHTS.tolist()}, [SCORES, LABELS], lambda x, y, f=function, r=reduction, w=weights: f(x, y, weight=w, ignore_index=3, reduction=r), integers=(1,))

# Recurrent cells: PyTorch's gates in the order of ONNX.
LENGTH, BATCH, WIDTH, HIDDEN = 3, 2, 2, 2


def recurrent(name, operator, options, gates, order, cell, states):
    directions = 2 if options["direction"] == "bidirectional" else 1
    shapes = [(gates * HIDDEN, WIDTH), (gates * HIDDEN, HIDDEN), (gates * HIDDEN,), (gates * HIDDEN,)]
    blocks = np.concatenate([np.arange(HIDDEN) + gate * HIDDEN for gate in order])

    def function(x, w, r, bias, *initial):
        restored = np.argsort(blocks)
        split = bias.reshape(directions, 2, gates * HIDDEN)
        parameters = []
        for direction in range(directions):
            parts = [w[direction], r[direction], split[direction, 0], split[direction, 1]]
            parameters += [part[torch.as_tensor(restored)] for part in parts]
        state = tuple(initial) if len(initial) > 1 else initial[0]
        outputs, final = torch.func.functional_call(cell, dict(zip([key for key, _ in cell.named_parameters()], parameters)), (x, state))
        sequence = outputs.reshape(LENGTH, BATCH, directions, HIDDEN).transpose(1, 2)
        return [sequence, *(final if isinstance(final, tuple) else (final,))]

    case(
        name,
        operator,
        options,
        [
            draw(LENGTH, BATCH, WIDTH),
            draw(directions, *shapes[0]),
            draw(directions, *shapes[1]),
            draw(directions, 2 * gates * HIDDEN),
            *(draw(directions, BATCH, HIDDEN) for _ in range(states)),
        ],
        function,
    )


for direction in ("forward", "bidirectional"):
    both = direction == "bidirectional"
    # PyTorch: input, forget, cell, output; ONNX: input, output, forget, cell.
    recurrent(direction, "LSTM", {"direction": direction}, 4, [0, 3, 1, 2], torch.nn.LSTM(WIDTH, HIDDEN, bidirectional=both).double(), 2)
    # PyTorch: reset, update, new; ONNX: update, reset, hidden.
    recurrent(direction, "GRU", {"direction": direction}, 3, [1, 0, 2], torch.nn.GRU(WIDTH, HIDDEN, bidirectional=both).double(), 1)
    recurrent(direction, "RNN", {"direction": direction}, 1, [0], torch.nn.RNN(WIDTH, HIDDEN, bidirectional=both).double(), 1)

# Attention.
Q, K, V = draw(1, 4, 3, 2), draw(1, 2, 3, 2), draw(1, 2, 3, 3)
case("grouped heads, causal", "Attention", {"causal": True}, [Q, K, V], lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))
case("mask and scale", "Attention", {"scale": 0.4}, [draw(1, 2, 3, 2), K, V, draw(1, 1, 3, 3)], lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m, scale=0.4))

# Linear operators.
case("exclusive and reverse", "CumSum", {"axis": 1, "exclusive": True, "reverse": True}, [draw(2, 4)], lambda x: x.flip(1).cumsum(1).flip(1) - x)
case("repeated rows", "Gather", {}, [draw(4, 2), [1, 3, 1, 1]], lambda x, i: F.embedding(i, x), integers=(1,))
case("diagonal", "Einsum", {"equation": "iij,j->i"}, [draw(3, 3, 2), draw(2)], lambda a, b: torch.einsum("iij,j->i", a, b))
case("one-sided, longer than the signal", "DFT", {"length": 7, "oneSided": True}, [draw(2, 5, 1)], lambda x: torch.view_as_real(torch.fft.rfft(x[..., 0], n=7)))
case("inverse", "DFT", {"inverse": True}, [draw(1, 4, 2)], lambda x: torch.view_as_real(torch.fft.ifft(torch.view_as_complex(x))))
WINDOW = draw(4, low=0.3)
case("window", "STFT", {"frameStep": 2}, [draw(1, 9, 1), WINDOW], lambda x, w: torch.view_as_real(torch.stft(x[..., 0], 4, 2, window=w, center=False, return_complex=True)).transpose(1, 2))

target = pathlib.Path("packages/autodiff/golden/derivatives.json")
target.parent.mkdir(exist_ok=True)
body = ",\n".join("  " + json.dumps(one, separators=(",", ":")) for one in cases)
version = torch.__version__.split("+")[0]
target.write_text(
    f'{{\n "generator": "tools/golden/derivatives.py",\n "torch": "{version}",\n "cases": [\n{body}\n ]\n}}\n',
    encoding="utf-8",
)
print(len(cases), "cases")
