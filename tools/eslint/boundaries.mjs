// Who may import whom: dependencies point one way (see docs/architecture.md). A package sees the layers below it; the
// packages of one layer do not see each other.
const LAYERS = [['graph'], ['autodiff'], ['backend'], ['core'], ['nn', 'data', 'rules', 'testing', 'report'], ['cli']];

/** Of each package: the packages that it may import. */
export const ALLOWED = Object.fromEntries(
  LAYERS.flatMap((layer, index) => layer.map((name) => [name, LAYERS.slice(0, index).flat()])),
);

/** For `@nx/enforce-module-boundaries`: each package carries the tag `package:<name>` in its package.json. */
export const depConstraints = Object.entries(ALLOWED).map(([name, allowed]) => ({
  sourceTag: `package:${name}`,
  onlyDependOnLibsWithTags: [name, ...allowed].map((each) => `package:${each}`),
}));

/** Files that run in browsers, and therefore do not reach for Node. */
export const BROWSER_SAFE = [
  'packages/{graph,autodiff,nn,rules,testing}/src/**/*.ts',
  'packages/{core,data,report}/src/*.ts',
  'packages/{core,data,report}/src/!(node)/**/*.ts',
  'packages/backend/src/browser/**/*.ts',
];

/** Tests and what only tests use. */
export const TESTS = ['**/*.test.ts', 'packages/*/src/**/testing/**/*.ts', 'packages/*/test/**/*.ts'];
