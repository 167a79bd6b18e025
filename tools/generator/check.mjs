// Generates a package of each contract in a copy of this repository, and demands of it what is demanded of every package:
// it builds, type-checks, lints, is formatted, passes its tests, and its experiment runs.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { METHOD_FOLDERS, root } from '../packages.mjs';

const only = process.argv[2];
const workplace = mkdtempSync(join(tmpdir(), 'updraft-generator-'));
let failed = 0;
try {
  copyRepository();
  for (const [kind, contract] of Object.entries(METHOD_FOLDERS)) {
    if (only !== undefined && only !== contract) continue;
    const slug = `generated-${contract}`;
    const folder = `packages/${kind}/${slug}`;
    console.log(`${contract}:`);
    const flags = ['g', '@updraft/tools:method', slug, `--contract=${contract}`, '--skipInstall'];
    step('is generated', 'npx', ['--no-install', 'nx', ...flags]);
    symlinkSync(join(workplace, folder), join(workplace, 'node_modules/@updraft', slug));
    step('builds', 'npx', ['--no-install', 'tsc', '-b', `${folder}/tsconfig.lib.json`]);
    step('has right types', 'npx', ['--no-install', 'tsc', '-p', folder]);
    step('is formatted', 'npx', ['--no-install', 'prettier', '--check', folder]);
    step('is known to nx', 'npx', ['--no-install', 'nx', 'show', 'project', `@updraft/${slug}`]);
    step('lints', 'npx', ['--no-install', 'eslint', '--config', 'tools/eslint/eslint.config.mjs', folder]);
    step('has an experiment', process.execPath, [
      '--import',
      'tsx',
      '--conditions=@updraft/source',
      'packages/cli/src/bin.ts',
      'reproduce',
      slug,
      '--quick',
    ]);
    step('passes its tests', process.execPath, ['tools/jest/run.mjs', folder]);
  }
} finally {
  rmSync(workplace, { recursive: true, force: true });
}
console.log(failed === 0 ? 'Generated packages are whole.' : `${failed} steps failed.`);
process.exitCode = failed === 0 ? 0 : 1;

function step(what, command, args) {
  const start = Date.now();
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: workplace,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    shell: process.platform === 'win32',
    env: {
      ...process.env,
      NX_DAEMON: 'false',
      NX_NO_CLOUD: 'true',
      NODE_OPTIONS: '',
      TSX_TSCONFIG_PATH: join(workplace, 'tsconfig.base.json'),
    },
  });
  const seconds = ((Date.now() - start) / 1000).toFixed(1);
  if (status === 0) console.log(`  ✓ ${what} (${seconds} s)`);
  else {
    failed += 1;
    console.log(`  ✗ ${what} (${seconds} s)\n${stdout}${stderr}`);
  }
}

/** Sources and builds of the packages below methods, the tools, and what is installed, by links. */
function copyRepository() {
  const methods = Object.keys(METHOD_FOLDERS).map((kind) => join('packages', kind));
  const skipped = new Set([...methods, join('tools', 'bench')]);
  const top = [
    'package.json',
    'nx.json',
    'tsconfig.base.json',
    '.prettierrc',
    '.prettierignore',
    '.changeset',
    'tools',
    'packages',
  ];
  for (const name of top)
    cpSync(join(root, name), join(workplace, name), {
      recursive: true,
      // Builds that are up to date stay so.
      preserveTimestamps: true,
      filter: (path) =>
        !skipped.has(relative(root, path)) &&
        basename(path) !== 'node_modules' &&
        !path.includes(join('dist', 'readme-')),
    });
  const installed = join(root, 'node_modules');
  mkdirSync(join(workplace, 'node_modules/@updraft'), { recursive: true });
  for (const name of readdirSync(installed))
    if (name !== '@updraft' && name !== '.package-lock.json')
      symlinkSync(join(installed, name), join(workplace, 'node_modules', name));
  for (const name of readdirSync(join(workplace, 'packages'))) {
    symlinkSync(join(workplace, 'packages', name), join(workplace, 'node_modules/@updraft', name));
    const own = join(root, 'packages', name, 'node_modules');
    if (existsSync(own)) symlinkSync(own, join(workplace, 'packages', name, 'node_modules'));
  }
  symlinkSync(join(workplace, 'tools/generator'), join(workplace, 'node_modules/@updraft/tools'));
}
