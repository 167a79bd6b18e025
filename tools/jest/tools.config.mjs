import { fileURLToPath } from 'node:url';
import { preset } from './preset.mjs';

export default {
  ...preset('tools', fileURLToPath(new URL('..', import.meta.url))),
  testMatch: ['<rootDir>/**/*.test.ts'],
};
