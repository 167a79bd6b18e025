import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

export default {
  rootDir: fileURLToPath(new URL('../..', import.meta.url)),
  projects: ['<rootDir>/packages/*', '<rootDir>/tools/jest/tools.config.mjs'],
  // Jest would leave one core idle, which is half of a small machine.
  maxWorkers: Math.max(2, availableParallelism() - 1),
  // Module records of native ES modules outlive their test file.
  workerIdleMemoryLimit: '1.5GB',
};
