"""One AdamW step of a benchmark network per line of input; prints milliseconds. A peer of `npm run bench`.

With a number of steps as third argument: takes them and prints the peak memory of the process in megabytes.
"""
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

name, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(0)
POOL = 16


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, length, width)
        x = x + self.out(mixed)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(256, 128) * 0.02)
        self.positions = nn.Parameter(torch.randn(128, 128) * 0.02)
        self.blocks = nn.Sequential(*[Block(128, 4) for _ in range(4)])
        self.norm = nn.LayerNorm(128)

    def forward(self, tokens):
        return self.norm(self.blocks(F.embedding(tokens, self.table) + self.positions)) @ self.table.T


if name == "mlp":
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    pool = [(torch.rand(128, 784) * 2 - 1, torch.randint(0, 10, (128,))) for _ in range(POOL)]
elif name == "cnn":
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 10),
    )
    pool = [(torch.rand(64, 1, 28, 28) * 2 - 1, torch.randint(0, 10, (64,))) for _ in range(POOL)]
else:
    model = Gpt()
    pool = [(torch.randint(0, 256, (16, 128)), torch.randint(0, 256, (16, 128))) for _ in range(POOL)]
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)


def step(taken):
    x, y = pool[taken % POOL]
    start = time.perf_counter()
    logits = model(x)
    loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    loss.item()
    return (time.perf_counter() - start) * 1000


if len(sys.argv) > 3:
    for taken in range(int(sys.argv[3])):
        step(taken)
    # Kilobytes on Linux.
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
else:
    for taken, _ in enumerate(sys.stdin):
        print(step(taken), flush=True)
