import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';

const python = process.env.PYTHON ?? 'python3';

/** PyTorch eager on the CPU in a process of its own, one step per line; it measures itself. */
export async function torch(name) {
  if (spawnSync(python, ['-c', 'import torch']).status !== 0)
    throw new Error(`${python} has no torch (set PYTHON to one that has)`);
  const child = spawn(
    python,
    [fileURLToPath(new URL('torch_step.py', import.meta.url)), name, String(Math.min(2, cpus().length))],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const step = async () => {
    child.stdin.write('step\n');
    return Number((await lines.next()).value);
  };
  return [{ label: 'PyTorch eager (2 threads)', step, dispose: () => child.kill() }];
}

/** Peak memory in megabytes of a process that takes some steps; undefined where Python has no PyTorch. */
export function torchMemory(name, steps) {
  const { status, stdout } = spawnSync(
    python,
    [fileURLToPath(new URL('torch_step.py', import.meta.url)), name, String(Math.min(2, cpus().length)), String(steps)],
    { encoding: 'utf8' },
  );
  return status === 0 ? Number(stdout) : undefined;
}
