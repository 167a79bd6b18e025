// Who may import whom: dependencies point one way (see docs/architecture.md).
export const LAYERS = {
  graph: [],
  autodiff: ['graph'],
  backend: ['graph', 'autodiff'],
  core: ['graph', 'autodiff', 'backend'],
  nn: ['graph', 'autodiff', 'backend', 'core'],
  data: ['graph', 'autodiff', 'backend', 'core'],
  rules: ['graph', 'autodiff', 'backend', 'core'],
  report: ['graph', 'core'],
  testing: ['graph', 'autodiff', 'backend', 'core'],
  cli: ['graph', 'autodiff', 'backend', 'core', 'nn', 'data', 'rules', 'report', 'testing'],
};

/** Packages that tests may use besides. */
export const TEST_LAYERS = { graph: ['backend'], autodiff: ['backend'], core: ['nn', 'data', 'rules'], nn: ['rules', 'data'], rules: ['nn', 'data'] };

/** Files that must not reach for Node. */
export const BROWSER_SAFE = [
  'packages/{graph,autodiff,nn,rules,testing}/src/**/*.ts',
  'packages/{core,data,report}/src/!(node)/**/*.ts',
  'packages/{core,data,report}/src/*.ts',
  'packages/backend/src/browser/**/*.ts',
];
