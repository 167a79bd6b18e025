// Shared jest settings: native ES modules, sources instead of builds, decorators compiled by swc.
const swc = {
  jsc: {
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: true },
    target: 'es2022',
    keepClassNames: true,
  },
  module: { type: 'es6' },
  sourceMaps: 'inline',
};

export const preset = (name, rootDir) => ({
  displayName: name,
  rootDir,
  testEnvironment: new URL('./environment.cjs', import.meta.url).pathname,
  testEnvironmentOptions: { customExportConditions: ['@updraft/source', 'node', 'node-addons'] },
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: { '^.+\\.ts$': ['@swc/jest', swc] },
  // Jest loads CommonJS dependencies while it links modules, before any of them runs: tsyringe needs this by then.
  setupFiles: ['reflect-metadata'],
  testMatch: ['<rootDir>/src/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
});
