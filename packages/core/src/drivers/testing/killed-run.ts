// A process that trains with checkpoints in a folder until it is killed or done; its parent bundles and runs it.
import { createBackend } from '@updraft/backend';
import { FileCheckpointStore } from '../../node/file-checkpoint-store.js';
import { train } from '../train.js';
import { FunctionSampler, noisyModel, phasedMomentum, squaredError } from './pipeline.js';

const [folder, steps] = process.argv.slice(2) as [string, string];
const backend = await createBackend({ device: 'cpu', threads: 1 });
const run = train({
  model: noisyModel,
  sampler: new FunctionSampler(),
  reward: squaredError,
  updateRule: phasedMomentum,
  backend,
  steps: Number(steps),
  seed: 11,
  checkpoints: { store: new FileCheckpointStore(folder), every: 3 },
});
process.stdout.write('started\n');
await run.result();
process.stdout.write('done\n');
