// Runs jest on native ES modules: `npm test`, `npm test -- packages/graph`, `npm test -- packages/graph/src/shape.test.ts`.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { softwareAdapter } from './software-adapter.mjs';
import { fileURLToPath } from 'node:url';

const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
const { status } = spawnSync(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--no-warnings',
    jest,
    '-c',
    'tools/jest/jest.config.mjs',
    // A test that trains takes seconds, and many times that on a busy machine. (Settings of projects cannot say this.)
    '--testTimeout=60000',
    ...process.argv.slice(2),
  ],
  {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: 'inherit',
    env: { ...process.env, ...softwareAdapter() },
  },
);
process.exit(status ?? 1);
