// Makes a fresh clone ready: installs dependencies when they are missing or differ from the lock file, and builds on
// request (`--build`). Plain Node without dependencies, since it runs before there are any.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { listPackages, root } from './packages.mjs';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Updraft is developed with Node.js 20.19 or newer; this is ${process.version}.`);
  process.exit(1);
}

if (!isInstalled()) {
  console.log('Installing dependencies …');
  // The CPU and WebGPU libraries are inside onnxruntime-node; its install script only adds CUDA, from a host of its own.
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { ONNXRUNTIME_NODE_INSTALL: 'skip' });
}
if (process.argv.includes('--build')) {
  console.log('Building …');
  const projects = listPackages().map(({ folder }) => `${folder}/tsconfig.lib.json`);
  run('npx', ['--no-install', 'tsc', '-b', ...projects.filter((path) => existsSync(join(root, path)))]);
}

/** Whether what npm noted about `node_modules` agrees with the lock file. */
function isInstalled() {
  const wanted = lockedPackages(join(root, 'package-lock.json'));
  const present = lockedPackages(join(root, 'node_modules/.package-lock.json'));
  if (wanted === undefined || present === undefined) return false;
  return Object.entries(wanted).every(([path, { version, optional, devOptional, peer }]) => {
    if (path === '') return true;
    const found = present[path];
    // Packages for other platforms are in the lock file only.
    return found === undefined ? optional || devOptional || peer : found.version === version;
  });
}

function lockedPackages(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : undefined;
}

function run(command, args, environment = {}) {
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
    env: { ...process.env, ...environment },
  });
  if (status !== 0) process.exit(status ?? 1);
}
