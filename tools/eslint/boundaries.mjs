// Who may import whom: dependencies point one way (see docs/architecture.md). A package sees the layers below it; the
// packages of one layer do not see each other.
import { listMethods, METHOD_FOLDERS } from '../packages.mjs';

const LAYERS = [
  ['graph'],
  ['autodiff'],
  ['backend'],
  ['core'],
  ['nn', 'data', 'rules', 'report'],
  // Above the rules, because its kits compose what they check with them.
  ['testing'],
  ['cli'],
];

/** Of each package: the packages that it may import. */
export const ALLOWED = {
  ...Object.fromEntries(LAYERS.flatMap((layer, index) => layer.map((name) => [name, LAYERS.slice(0, index).flat()]))),
  // Only writes files.
  'create-updraft-method': [],
};

/** What a method may be made of. */
const BELOW_METHODS = LAYERS.flat().filter((name) => name !== 'cli');

/** Methods see what is below them, and no other method unless they say in their package.json that they extend it. */
const methods = listMethods().map(({ manifest }) => [
  manifest.name.replace('@updraft/', ''),
  (manifest.updraft?.extends ?? []).map((name) => name.replace('@updraft/', '')),
]);

/**
 * For `@nx/enforce-module-boundaries`: each package carries the tag `package:<name>` in its package.json, a method
 * `method:<name>`.
 */
export const depConstraints = [
  ...Object.entries(ALLOWED).map(([name, allowed]) => ({
    sourceTag: `package:${name}`,
    onlyDependOnLibsWithTags: [name, ...allowed].map((each) => `package:${each}`),
  })),
  ...methods.map(([name, extended]) => ({
    sourceTag: `method:${name}`,
    onlyDependOnLibsWithTags: [
      ...BELOW_METHODS.map((each) => `package:${each}`),
      ...[name, ...extended].map((each) => `method:${each}`),
    ],
  })),
];

/** Files that run in browsers, and therefore do not reach for Node. */
export const BROWSER_SAFE = [
  'packages/{graph,autodiff,nn,rules}/src/**/*.ts',
  'packages/{core,data,report,testing}/src/*.ts',
  'packages/{core,data,report,testing}/src/!(node)/**/*.ts',
  'packages/backend/src/browser/**/*.ts',
  `packages/{${Object.keys(METHOD_FOLDERS).join()}}/*/src/**/*.ts`,
];

/** Tests and what only tests use. */
export const TESTS = ['**/*.test.ts', 'packages/**/src/**/testing/**/*.ts', 'packages/*/test/**/*.ts'];
