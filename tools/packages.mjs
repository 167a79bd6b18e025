// The packages of this repository and where they lie: one list for tests, lint, knip, packaging, set-up and docs.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root folder, without a slash at its end. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '');

/** Contract of the methods in a folder below `packages/`. */
export const METHOD_FOLDERS = {
  'update-rules': 'update-rule',
  samplers: 'sampler',
  rewards: 'reward',
  aggregators: 'aggregator',
};

/**
 * All packages, in order of their folders: `folder` relative to the root with forward slashes, `manifest` parsed, and
 * `contract` for packages of methods.
 */
export function listPackages() {
  const below = (parent) => (existsSync(join(root, parent)) ? readdirSync(join(root, parent)).sort() : []);
  const described = (folder, contract) => {
    const path = join(root, folder, 'package.json');
    return existsSync(path) ? [{ folder, contract, manifest: JSON.parse(readFileSync(path, 'utf8')) }] : [];
  };
  return [
    ...below('packages').flatMap((name) => described(`packages/${name}`, undefined)),
    ...Object.entries(METHOD_FOLDERS).flatMap(([kind, contract]) =>
      below(`packages/${kind}`).flatMap((name) => described(`packages/${kind}/${name}`, contract)),
    ),
  ];
}

/** The packages that hold one method each. */
export const listMethods = () => listPackages().filter(({ contract }) => contract !== undefined);
