import { preset } from '../../tools/jest/preset.mjs';

const shared = preset('report', import.meta.dirname);

export default {
  ...shared,
  testMatch: [...shared.testMatch, '<rootDir>/page/**/*.test.ts', '<rootDir>/test/**/*.test.ts'],
};
