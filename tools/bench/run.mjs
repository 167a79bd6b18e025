// Training steps of three networks with AdamW, side by side in one run: `npm run bench [-- mlp cnn gpt] [--rounds 20]`.
// Repetitions are interleaved, so that whatever else the machine does hits all of them; the table gives medians and
// ratios. Peers are installed on first use; PyTorch takes part where Python has it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { NETWORKS } from './networks.mjs';
import { updraft } from './updraft.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
if (!existsSync(`${here}node_modules/@jax-js/jax`)) {
  console.log('Installing the peers …');
  const { status } = spawnSync(
    'npm',
    ['install', '--no-audit', '--no-fund', '--loglevel=error', '--workspaces=false'],
    { cwd: here, stdio: 'inherit' },
  );
  if (status !== 0) process.exit(status ?? 1);
}
const { jax } = await import('./jax.mjs');
const { tensorflow } = await import('./tensorflow.mjs');
const { torch } = await import('./torch.mjs');

const words = process.argv.slice(2);
const rounds = words.includes('--rounds') ? Number(words[words.indexOf('--rounds') + 1]) : 15;
const chosen = words.filter((word) => NETWORKS[word] !== undefined);
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

const record = {
  machine: `${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}`,
  node: process.version,
  rounds,
  networks: {},
};
for (const name of chosen.length > 0 ? chosen : Object.keys(NETWORKS)) {
  const network = NETWORKS[name];
  const contestants = [];
  for (const make of [updraft, jax, tensorflow, torch]) {
    try {
      contestants.push(...((await make(name, network)) ?? []));
    } catch (error) {
      console.log(`  ${make.name} does not take part in ${name}: ${String(error.message ?? error).split('\n')[0]}`);
    }
  }
  const able = [];
  for (const contestant of contestants) {
    try {
      for (let warm = 0; warm < 3; warm++) await contestant.step();
      able.push(contestant);
    } catch (error) {
      console.log(`  ${contestant.label} cannot train ${name}: ${String(error.message ?? error).split('\n')[0]}`);
    }
  }
  contestants.splice(0, contestants.length, ...able);
  const times = new Map(contestants.map(({ label }) => [label, []]));
  for (let round = 0; round < rounds; round++)
    for (const { label, step } of contestants) {
      const start = performance.now();
      const measured = await step();
      times.get(label).push(typeof measured === 'number' ? measured : performance.now() - start);
    }
  const base = median(times.get('updraft'));
  console.log(`\n${name}: ${network.description}`);
  console.log('  contestant                              ms/step   updraft is faster by');
  const rows = {};
  for (const { label } of contestants) {
    const value = median(times.get(label));
    rows[label] = value;
    console.log(`  ${label.padEnd(38)} ${value.toFixed(2).padStart(8)}   ${(value / base).toFixed(2).padStart(6)} ×`);
  }
  record.networks[name] = rows;
  for (const { dispose } of contestants) await dispose?.();
}
mkdirSync(`${here}results`, { recursive: true });
writeFileSync(`${here}results/latest.json`, `${JSON.stringify(record, null, 2)}\n`);
process.exit(0);
