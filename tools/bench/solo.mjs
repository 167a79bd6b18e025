// One network trained alone in this process, through the public API: time to the first step, share of the host in a step,
// peak memory. `npm run bench` starts it once per network and prints what it says beside PyTorch's.
import { updraft } from './updraft.mjs';
import { NETWORKS } from './networks.mjs';

const STEPS = 30;
const name = process.argv[2];
const begin = performance.now();
const [contestant] = await updraft(name, NETWORKS[name], { alone: true });
const ready = performance.now();
await contestant.step(0);
const firstStep = performance.now() - ready;
const shares = [];
for (let step = 1; step < STEPS; step++) {
  await contestant.step(step);
  const { milliseconds, runMilliseconds } = contestant.last();
  shares.push((milliseconds - runMilliseconds) / milliseconds);
}
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
console.log(
  JSON.stringify({
    startMilliseconds: ready - begin,
    firstStepMilliseconds: firstStep,
    hostShare: median(shares),
    peakMegabytes: process.resourceUsage().maxRSS / 1024,
  }),
);
await contestant.dispose();
process.exit(0);
