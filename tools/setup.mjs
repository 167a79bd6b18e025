// Makes a fresh clone ready: installs dependencies when they are missing or older than the lock file, and builds on
// request. Plain Node without dependencies, since it runs before there are any.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';

const root = new URL('..', import.meta.url).pathname;
const stamp = `${root}node_modules/.updraft-setup`;
const [major] = process.versions.node.split('.').map(Number);
if (major < 20) {
  console.error(`Updraft needs Node.js 20 or newer; this is ${process.version}.`);
  process.exit(1);
}

function run(command, args, environment = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32', env: { ...process.env, ...environment } });
  if (status !== 0) process.exit(status ?? 1);
}

const wanted = createHash('sha256').update(readFileSync(`${root}package-lock.json`)).digest('hex');
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  console.log('Installing dependencies …');
  // The CPU and WebGPU libraries are inside onnxruntime-node; its install script only adds CUDA, from a host of its own.
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { ONNXRUNTIME_NODE_INSTALL: 'skip', npm_config_ignore_scripts: 'true' });
  writeFileSync(stamp, wanted);
}
if (process.argv.includes('--build')) {
  console.log('Building …');
  const projects = readdirSync(`${root}packages`).map((name) => `packages/${name}/tsconfig.lib.json`);
  run('npx', ['--no-install', 'tsc', '-b', ...projects.filter((path) => existsSync(root + path))]);
}
