// Publishes every package to a registry of its own on this machine, then lives as a user does: a method alone in an empty
// project, run in Node and bundled by Vite; the tutorial for authors, followed to the letter; and packages of the other
// contracts from `npm create updraft-method`, tested and built.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'vite';
import { listPackages, METHOD_FOLDERS, root } from '../packages.mjs';

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
const METHOD = '@updraft/lion';
const packages = listPackages().filter(({ folder, manifest }) => {
  if (manifest.private === true) return false;
  if (existsSync(join(root, folder, 'dist/index.js'))) return true;
  throw new Error(`${folder} is not built: run "npm run build" first.`);
});

const workplace = mkdtempSync(join(tmpdir(), 'updraft-publishing-'));
const registry = await startRegistry();
try {
  publish();
  await installAlone();
  followTutorial();
  createMethods();
  console.log(
    `${packages.length} packages: published, installed, run and bundled; a new method of each contract is whole.`,
  );
} finally {
  registry.stop();
  rmSync(workplace, { recursive: true, force: true });
}

/** A port that nothing listens on. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function startRegistry() {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  // What is not ours comes from where npm here gets its packages.
  const uplink = spawnSync(npm, ['config', 'get', 'registry'], { cwd: root, encoding: 'utf8' }).stdout.trim();
  const ours = [...new Set(packages.map(({ manifest }) => manifest.name.replace(/^(@[^/]+)\/.*/, '$1/*')))];
  const config = {
    storage: join(workplace, 'storage'),
    uplinks: { upstream: { url: uplink, cache: false, timeout: '60s', maxage: '60m' } },
    packages: {
      ...Object.fromEntries(ours.map((name) => [name, { access: '$all', publish: '$all', unpublish: '$all' }])),
      '**': { access: '$all', proxy: 'upstream' },
    },
    max_body_size: '100mb',
    web: { enable: false },
    middlewares: {},
    log: { type: 'stdout', format: 'pretty', level: 'warn' },
  };
  const path = join(workplace, 'registry.json');
  writeFileSync(path, JSON.stringify(config));
  const server = spawn(
    process.execPath,
    [join(root, 'node_modules/verdaccio/bin/verdaccio'), '--config', path, '--listen', `127.0.0.1:${port}`],
    { cwd: workplace, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  server.stdout.on('data', (chunk) => (said += chunk));
  server.stderr.on('data', (chunk) => (said += chunk));
  for (let tries = 0; ; tries++) {
    const answers = await fetch(`${url}-/ping`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (answers) break;
    if (tries > 300 || server.exitCode !== null) throw new Error(`The registry does not start:\n${said}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  // npm wants to be somebody before it publishes; this registry takes anybody.
  writeFileSync(
    join(workplace, '.npmrc'),
    `registry=${url}\n//127.0.0.1:${port}/:_authToken=anybody\nignore-scripts=true\naudit=false\nfund=false\nupdate-notifier=false\n`,
  );
  // Archives may be at hand already; what npx installed before is not ours to use.
  const cache = spawnSync(npm, ['config', 'get', 'cache'], { cwd: root, encoding: 'utf8' }).stdout.trim();
  mkdirSync(join(workplace, 'cache'));
  if (existsSync(join(cache, '_cacache'))) symlinkSync(join(cache, '_cacache'), join(workplace, 'cache/_cacache'));
  console.log(`Registry on port ${port}`);
  return { url, stop: () => server.kill() };
}

function run(command, args, cwd, { quiet = true } = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    shell: process.platform === 'win32',
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      // Vite sets it when it builds; npm would leave out what is for development.
      NODE_ENV: '',
      ONNXRUNTIME_NODE_INSTALL: 'skip',
      npm_config_userconfig: join(workplace, '.npmrc'),
      npm_config_registry: registry.url,
      npm_config_cache: join(workplace, 'cache'),
      npm_config_prefer_offline: 'true',
    },
  });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} in ${cwd}:\n${stdout}\n${stderr}`);
  if (!quiet) process.stdout.write(stdout);
  return stdout;
}

function publish() {
  const start = Date.now();
  for (const { folder } of packages)
    run(npm, ['publish', '--ignore-scripts', '--loglevel=error', `--registry=${registry.url}`], join(root, folder));
  console.log(`${packages.length} packages are published (${seconds(start)})`);
}

/** One method and what it brings, nothing else. */
async function installAlone() {
  let start = Date.now();
  const project = join(workplace, 'alone');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'alone', private: true, type: 'module' }));
  run(npm, ['install', METHOD, '--prefer-offline', '--loglevel=error'], project);
  console.log(`${METHOD} is installed in an empty project (${seconds(start)})`);

  start = Date.now();
  // The README's example, with the packages as they were published.
  const readme = readFileSync(join(project, 'node_modules', METHOD, 'README.md'), 'utf8');
  const [, example, expected] = /```ts\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/.exec(readme);
  writeFileSync(join(project, 'example.mjs'), example);
  const printed = run(process.execPath, ['example.mjs'], project);
  if (printed !== expected) throw new Error(`The example prints\n${printed}\ninstead of\n${expected}`);
  console.log(`Its example runs in Node (${seconds(start)})`);

  start = Date.now();
  const input = join(project, 'main.js');
  writeFileSync(
    input,
    `import { lion } from '${METHOD}';\nimport { train } from '@updraft/core';\nimport { createBackend } from '@updraft/backend';\n` +
      `export const options = lion({ learningRate: 0.5 }).options;\nexport { train, createBackend };\n`,
  );
  const outDir = join(project, 'built');
  await build({
    root: project,
    configFile: false,
    logLevel: 'silent',
    build: {
      outDir,
      target: 'es2022',
      minify: false,
      // Everything inside, as for a page.
      rollupOptions: { input, preserveEntrySignatures: 'strict', output: { entryFileNames: 'main.mjs' } },
      modulePreload: false,
    },
  });
  const code = readFileSync(join(outDir, 'main.mjs'), 'utf8');
  const reach = /(?:from|import|import\()\s*["']node:[\w/]+["']/.exec(code);
  if (reach !== null) throw new Error(`The bundle reaches for Node: ${reach[0]}`);
  const { options } = await import(pathToFileURL(join(outDir, 'main.mjs')).href);
  if (options.learningRate !== 0.5 || options.beta2 !== 0.99)
    throw new Error(`The bundled rule has the options ${JSON.stringify(options)}.`);
  console.log(
    `A Vite build of it has ${Math.ceil(code.length / 1024)} kB before minification and works (${seconds(start)})`,
  );
}

/**
 * Does what docs/writing-a-method.md says, in an empty folder: blocks of code with a path are written to it, blocks of shell
 * are run, one line after the other.
 */
function followTutorial() {
  const tutorial = readFileSync(join(root, 'docs/writing-a-method.md'), 'utf8');
  let folder = join(workplace, 'tutorial');
  mkdirSync(folder);
  for (const [, language, path, text] of tutorial.matchAll(/^```(\w+) ?(\S*)\n([\s\S]*?)^```$/gm)) {
    const start = Date.now();
    if (path !== '') {
      writeFileSync(join(folder, path), text);
      console.log(`Tutorial: wrote ${path}`);
    } else if (language === 'sh') {
      // A folder that a block changes into is that of the next ones.
      const printed = run('bash', ['-c', `set -e\n${text}\necho; pwd`], folder);
      folder = printed.trim().split('\n').at(-1);
      const [first, ...rest] = text.trim().split('\n');
      console.log(`Tutorial: ${first}${rest.length > 0 ? ` and ${rest.length} more lines` : ''} (${seconds(start)})`);
    }
  }
  const record = JSON.parse(readFileSync(join(folder, 'records/cautious-momentum.json'), 'utf8'));
  const readme = readFileSync(join(folder, 'README.md'), 'utf8');
  const [{ id, verdict }] = record.experiments[0].claims;
  if (id !== 'caution-helps' || !readme.includes(`**${verdict}**`) || !readme.includes('`cautious`'))
    throw new Error('The tutorial leaves a README without its results.');
}

/** A package of each other contract, made by the published generator, in one workspace so that one installation serves all. */
function createMethods() {
  let start = Date.now();
  const workspace = join(workplace, 'workspace');
  mkdirSync(workspace);
  writeFileSync(
    join(workspace, 'package.json'),
    JSON.stringify({ name: 'workspace', private: true, type: 'module', workspaces: ['*'] }),
  );
  // The tutorial has made an update rule.
  const contracts = Object.values(METHOD_FOLDERS).filter((contract) => contract !== 'update-rule');
  for (const contract of contracts)
    run(
      npm,
      ['create', '--yes', 'updraft-method', `@somebody/my-${contract}`, '--', '--contract', contract],
      workspace,
    );
  run(npm, ['install', '--prefer-offline', '--loglevel=error'], workspace);
  console.log(`A package of each other contract is made and installed (${seconds(start)})`);
  for (const contract of contracts) {
    start = Date.now();
    const folder = join(workspace, `my-${contract}`);
    run(npm, ['test'], folder);
    run('npx', ['--no-install', 'updraft', 'reproduce', '.', '--quick'], folder);
    if (!existsSync(join(folder, 'records', `my-${contract}.quick.json`)))
      throw new Error(`The experiment of my-${contract} leaves no record.`);
    console.log(`The new ${contract} builds, passes its tests, and its experiment runs (${seconds(start)})`);
  }
}

function seconds(start) {
  return `${((Date.now() - start) / 1000).toFixed(1)} s`;
}
