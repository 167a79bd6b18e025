import { availableParallelism } from 'node:os';
import { listPackages, root } from '../packages.mjs';

export default {
  rootDir: root,
  projects: [...listPackages().map(({ folder }) => `<rootDir>/${folder}`), '<rootDir>/tools/jest/tools.config.mjs'],
  // Jest would leave one core idle, which is half of a small machine.
  maxWorkers: Math.max(2, availableParallelism() - 1),
  // Module records of native ES modules outlive their test file.
  workerIdleMemoryLimit: '1.5GB',
};
