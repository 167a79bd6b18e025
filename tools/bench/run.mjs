// Training steps of three networks with AdamW, side by side in one run: `npm run bench [-- mlp cnn gpt] [--rounds 20]`.
// Contestants take turns, a few steps each, so that whatever else the machine does hits all of them; the first step of a
// turn is not counted, since the caches and the idling threads that it meets are another contestant's. The table gives
// medians and ratios. Peers are installed on first use; PyTorch takes part where Python has it.
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
const { torch, torchMemory } = await import('./torch.mjs');

const words = process.argv.slice(2);
const rounds = words.includes('--rounds') ? Number(words[words.indexOf('--rounds') + 1]) : 12;
const chosen = words.filter((word) => NETWORKS[word] !== undefined);
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Counted steps of a turn, fewer where they take long. */
const TURN_STEPS = 5;
const TURN_MILLISECONDS = 1000;

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
      let taken = 0;
      const step = () => contestant.step(taken++);
      for (let warm = 0; warm < 3; warm++) await step();
      able.push({ ...contestant, step });
    } catch (error) {
      console.log(`  ${contestant.label} cannot train ${name}: ${String(error.message ?? error).split('\n')[0]}`);
    }
  }
  contestants.splice(0, contestants.length, ...able);
  const times = new Map(contestants.map(({ label }) => [label, []]));
  for (let round = 0; round < rounds; round++)
    for (const { label, step } of contestants) {
      await step();
      let spent = 0;
      for (let counted = 0; counted < TURN_STEPS && spent < TURN_MILLISECONDS; counted++) {
        const start = performance.now();
        const measured = await step();
        const milliseconds = typeof measured === 'number' ? measured : performance.now() - start;
        spent += milliseconds;
        times.get(label).push(milliseconds);
      }
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
console.log('\nAlone in a process of its own');
console.log('  network   first step after train()   host share of a step   peak memory   PyTorch');
record.alone = {};
for (const name of Object.keys(record.networks)) {
  const { stdout } = spawnSync(process.execPath, [`${here}solo.mjs`, name], { encoding: 'utf8' });
  const { firstStepMilliseconds, hostShare, peakMegabytes } = JSON.parse(stdout);
  const torchMegabytes = torchMemory(name, 30);
  record.alone[name] = { firstStepMilliseconds, hostShare, peakMegabytes, torchMegabytes };
  console.log(
    `  ${name.padEnd(9)} ${`${firstStepMilliseconds.toFixed(0)} ms`.padStart(24)} ${`${(100 * hostShare).toFixed(1)} %`.padStart(22)} ${`${peakMegabytes.toFixed(0)} MB`.padStart(13)} ${(torchMegabytes === undefined ? '–' : `${torchMegabytes.toFixed(0)} MB`).padStart(9)}`,
  );
}
mkdirSync(`${here}results`, { recursive: true });
writeFileSync(`${here}results/latest.json`, `${JSON.stringify(record, null, 2)}\n`);
process.exit(0);
