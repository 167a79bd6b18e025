// Packs every package as for publishing and uses the tarballs as a user would: static checks (publint, "are the types
// wrong"), installation in an empty project, import in Node, and a browser bundle of what runs in browsers.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { build } from 'vite';
import { listPackages, root } from '../packages.mjs';

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
const problems = [];
const complain = (name, text) => {
  problems.push(`${name}: ${text}`);
  console.log(`  ✗ ${name}: ${text}`);
};

/** Packages whose every entry but `./node` must work in browsers. */
const NODE_ONLY = new Set(['@updraft/cli', 'create-updraft-method']);

const packages = listPackages()
  .filter(({ manifest }) => manifest.private !== true)
  .map(({ folder, manifest }) => ({ folder: join(root, folder), manifest }));

const workplace = mkdtempSync(join(tmpdir(), 'updraft-packaging-'));
try {
  const tarballs = pack();
  for (const { manifest, tarball, files } of tarballs) await inspect(manifest, tarball, files);
  const project = install(tarballs);
  importInNode(project);
  await bundleForBrowsers(project);
} finally {
  rmSync(workplace, { recursive: true, force: true });
}
console.log(
  problems.length === 0
    ? `${packages.length} packages: packed, installed, imported and bundled.`
    : `Packaging: ${problems.length} problems.\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
);
process.exitCode = problems.length === 0 ? 0 : 1;

function pack() {
  console.log('Packing');
  const where = packages.flatMap(({ folder }) => ['-w', folder]);
  const output = execFileSync(npm, ['pack', '--json', '--ignore-scripts', '--pack-destination', workplace, ...where], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 2 ** 28,
  });
  const parsed = JSON.parse(output);
  // One npm lists the packed packages, another one keys them by name.
  const packed = Array.isArray(parsed) ? parsed : Object.values(parsed);
  return packages.map(({ manifest }) => {
    const { filename, files } = packed.find(({ name }) => name === manifest.name);
    return { manifest, tarball: join(workplace, filename), files: files.map(({ path }) => path) };
  });
}

async function inspect(manifest, tarball, files) {
  console.log(`Checking ${manifest.name} (${files.length} files, ${Math.ceil(statSync(tarball).size / 1024)} kB)`);
  for (const wanted of [
    'README.md',
    'LICENSE',
    'dist/index.js',
    'dist/index.d.ts',
    'dist/index.js.map',
    'src/index.ts',
  ])
    if (!files.includes(wanted)) complain(manifest.name, `the tarball lacks ${wanted}`);
  for (const path of files)
    if (!path.endsWith('.template') && /\.test\.|\/testing\/|tsbuildinfo|\.golden|\.runs\.json/.test(path))
      complain(manifest.name, `the tarball holds ${path}`);

  const data = readFileSync(tarball);
  const buffer = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  const { messages } = await publint({ pack: { tarball: buffer }, level: 'warning', strict: true });
  for (const message of messages) complain(manifest.name, `publint: ${formatMessage(message, manifest)}`);

  const { problems: found = [] } = await checkPackage(createPackageFromTarballData(new Uint8Array(buffer)));
  for (const problem of found) {
    // The packages are ES modules only: require() and the resolution of TypeScript before 4.7 are out of scope.
    if (problem.resolutionKind === 'node10' || problem.resolutionKind === 'node16-cjs') continue;
    complain(manifest.name, `types: ${problem.kind} ${problem.entrypoint ?? ''} (${problem.resolutionKind ?? 'all'})`);
  }
}

function install(tarballs) {
  console.log('Installing the tarballs in an empty project');
  const project = join(workplace, 'project');
  mkdirSync(project);
  const dependencies = Object.fromEntries(tarballs.map(({ manifest, tarball }) => [manifest.name, `file:${tarball}`]));
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({ name: 'empty', private: true, type: 'module', dependencies }),
  );
  execFileSync(
    npm,
    ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: project,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
    },
  );
  return project;
}

function entries({ manifest }) {
  return Object.keys(manifest.exports)
    .filter((entry) => entry !== './package.json')
    .map((entry) => manifest.name + entry.slice(1));
}

function importInNode(project) {
  const names = packages.flatMap(entries);
  console.log(`Importing ${names.length} entries in Node ${process.version}`);
  for (const name of names) {
    const script = `const found = Object.keys(await import(${JSON.stringify(name)}));
      if (found.length === 0) throw new Error('nothing is exported');`;
    try {
      execFileSync(process.execPath, ['--input-type=module', '-e', script], {
        cwd: project,
        stdio: 'pipe',
        encoding: 'utf8',
      });
    } catch (error) {
      complain(
        name,
        `import in Node: ${String(error.stderr ?? error)
          .split('\n')
          .slice(0, 12)
          .join('\n')}`,
      );
    }
  }
  const [command] = Object.keys(packages.find(({ manifest }) => manifest.name === '@updraft/cli').manifest.bin);
  try {
    execFileSync(join(project, 'node_modules/.bin', command), ['--help'], { cwd: project, stdio: 'pipe' });
  } catch (error) {
    complain('@updraft/cli', `the installed command: ${String(error.stderr ?? error)}`);
  }
}

async function bundleForBrowsers(project) {
  for (const each of packages.filter(({ manifest }) => !NODE_ONLY.has(manifest.name))) {
    for (const entry of entries(each).filter((name) => !name.endsWith('/node'))) {
      const input = join(project, `${entry.replaceAll(/\W/g, '-')}.js`);
      // Everything that the entry exports is used, so that nothing is shaken off.
      writeFileSync(input, `import * as all from ${JSON.stringify(entry)};\nglobalThis.all = { ...all };\n`);
      const outDir = `${input}.out`;
      try {
        await build({
          root: project,
          configFile: false,
          logLevel: 'silent',
          build: {
            outDir,
            emptyOutDir: true,
            minify: false,
            target: 'es2022',
            rollupOptions: { input },
            modulePreload: false,
          },
        });
        const code = readdirSync(join(outDir, 'assets'))
          .filter((file) => /\.m?js$/.test(file))
          .map((file) => readFileSync(join(outDir, 'assets', file), 'utf8'))
          .join('\n');
        const nodeImport =
          /(?:from|import|import\()\s*["'](node:[\w/]+)["']/.exec(code) ?? /browser-external[:\w/]*/.exec(code);
        if (nodeImport !== null)
          complain(
            entry,
            `the browser bundle reaches for Node: ${code.slice(nodeImport.index - 60, nodeImport.index + 120)}`,
          );
        console.log(`Bundled ${entry}: ${Math.ceil(code.length / 1024)} kB before minification`);
      } catch (error) {
        complain(entry, `bundling: ${String(error)}`);
      }
    }
  }
}
