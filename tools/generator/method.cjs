// `npx nx g @updraft/tools:method <slug> --contract=<contract>`: a package in this repository from the templates that
// `npm create updraft-method` uses outside of it. CommonJS, since nx requires it.
const { spawnSync } = require('node:child_process');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');

/**
 * @param tree Files of the workspace, as nx lends them: written when the generator is done, or listed with --dry-run.
 * @param options As method.schema.json has them.
 */
module.exports = async function method(tree, { slug, contract, card, skipInstall }) {
  const { tsImport } = await import('tsx/esm/api');
  const source = pathToFileURL(join(__dirname, '../../packages/create-updraft-method/src/index.ts')).href;
  const { describeMethod, methodFiles } = await tsImport(source, { parentURL: pathToFileURL(__filename).href });
  const { version } = JSON.parse(tree.read('packages/core/package.json', 'utf8'));
  const description = describeMethod({ name: slug, contract, inside: true, version });
  const { folder, packageName } = description;
  if (tree.exists(`${folder}/package.json`)) throw new Error(`There is a package in ${folder} already.`);

  for (const [path, text] of methodFiles(description)) {
    const own = path === 'package.json' && card !== undefined ? withCard(text, card) : text;
    tree.write(`${folder}/${path}`, own);
  }
  tree.write(`.changeset/${slug}.md`, `---\n'${packageName}': minor\n---\n\n${packageName}: a new method.\n`);
  await format(tree);

  if (skipInstall) return undefined;
  // Afterwards: the link in node_modules and the entry in the lock file.
  return () => {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    const flags = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
    const { status } = spawnSync(npm, flags, { cwd: tree.root, stdio: 'inherit', shell: process.platform === 'win32' });
    if (status !== 0) console.error(`npm install failed; run it again to link ${packageName}.`);
    console.log(`\nNext: npm run jest -- ${folder}, and the contents of ${folder}.`);
  };
};

function withCard(text, card) {
  const manifest = JSON.parse(text);
  return `${JSON.stringify({ ...manifest, updraft: { ...manifest.updraft, card } }, undefined, 2)}\n`;
}

/** As `npm run format` would leave them: names of different lengths move line breaks. */
async function format(tree) {
  const { format: formatText, getFileInfo, resolveConfig } = await import('prettier');
  for (const { path, type, content } of tree.listChanges()) {
    if (type === 'DELETE') continue;
    const file = join(tree.root, path);
    const { ignored, inferredParser } = await getFileInfo(file, { ignorePath: join(tree.root, '.prettierignore') });
    if (ignored || inferredParser === null) continue;
    tree.write(path, await formatText(String(content), { ...(await resolveConfig(file)), filepath: file }));
  }
}
