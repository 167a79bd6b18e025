export { childBackend, type ChildBackendOptions } from './child-backend.js';
export { exampleChecks } from './readme-examples.js';
export { packageChecks, testPackage, type PackageSettings } from './test-package.js';
