import type { Contract, MethodDescription } from './describe-method.js';

/** Version of the contracts that the templates are written for. */
const CONTRACT_VERSION = 1;

/** What the templates of a contract import, besides core. */
const IMPORTED: Readonly<Record<Contract, readonly string[]>> = {
  'update-rule': ['data', 'graph', 'nn', 'rules', 'testing'],
  sampler: ['data', 'nn', 'rules', 'testing'],
  reward: ['data', 'graph', 'nn', 'rules', 'testing'],
  aggregator: ['graph', 'rules', 'testing'],
};

/** Packages of Updraft that a new method depends on, without their scope. */
export const dependenciesOf = (contract: Contract): readonly string[] => ['core', ...IMPORTED[contract]];

/** The package.json of a new method. */
export function manifestOf({ slug, packageName, contract, inside, version, folder }: MethodDescription): object {
  const range = `^${version}`;
  const own = Object.fromEntries(dependenciesOf(contract).map((name) => [`@updraft/${name}`, range]));
  return {
    name: packageName,
    version: inside ? version : '0.1.0',
    description: `${slug}: what it does in one line`,
    keywords: ['updraft', 'updraft-method', contract],
    license: 'Apache-2.0',
    type: 'module',
    sideEffects: false,
    engines: { node: '>=20' },
    files: [
      'dist',
      'src',
      'records',
      'options.json',
      '!**/*.test.*',
      ...(inside ? ['!**/testing/**'] : []),
      '!**/*.runs.json',
      '!**/*.quick*',
      '!**/*.tsbuildinfo',
    ],
    exports: {
      '.': entry('index', inside),
      './experiment': entry('experiment', inside),
      './package.json': './package.json',
    },
    dependencies: { ...own, tsyringe: '^4.10.0', zod: '^4.6.7' },
    ...(inside
      ? {}
      : {
          devDependencies: {
            '@types/node': '^20.19.0',
            '@updraft/backend': range,
            '@updraft/cli': range,
            tsx: '^4.23.15',
            typescript: '~6.0.3',
            vitest: '^4.1.0',
          },
        }),
    scripts: inside
      ? {
          build: 'tsc -b tsconfig.lib.json',
          typecheck: 'tsc -p .',
          lint: `cd ../../.. && eslint --config tools/eslint/eslint.config.mjs --no-warn-ignored ${folder}`,
          test: `node ../../../tools/jest/run.mjs ${folder}`,
        }
      : {
          build: 'tsc -p tsconfig.lib.json',
          prepack: 'npm run build',
          reproduce: 'npm run build && updraft reproduce .',
          // Examples of the README see the package as its users do.
          test: 'npm run build && vitest run',
          typecheck: 'tsc -p .',
        },
    updraft: { contract, contractVersion: CONTRACT_VERSION },
    ...(inside ? { nx: { tags: ['package:method', `method:${slug}`, `contract:${contract}`] } } : {}),
  };
}

const entry = (name: string, inside: boolean): object => ({
  ...(inside ? { '@updraft/source': `./src/${name}.ts` } : {}),
  types: `./dist/${name}.d.ts`,
  import: `./dist/${name}.js`,
});
