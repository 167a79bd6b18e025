import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MethodDescription } from './describe-method.js';
import { CreateError } from './errors.js';
import { dependenciesOf, manifestOf } from './manifest.js';

const TEMPLATES = fileURLToPath(new URL('../templates', import.meta.url));
const SUFFIX = '.template';

/** Files below a folder, by their path from there. */
const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();

/** The text with `{{name}}` replaced by what the description has. @throws CreateError for a name that it does not have. */
const filled = (text: string, names: Readonly<Record<string, string>>, path: string): string =>
  text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = names[name];
    if (value === undefined) throw new CreateError(`The template "${path}" has the unknown name "${name}".`);
    return value;
  });

/**
 * All files of a new package: paths relative to its folder, with their text. Templates of the contract and of the place
 * (inside the repository, or on its own) are joined.
 */
export function methodFiles(method: MethodDescription): ReadonlyMap<string, string> {
  const { slug, packageName, className, factory, contract, inside, version } = method;
  const names = {
    slug,
    packageName,
    className,
    factory,
    contract,
    version,
    install: inside ? packageName : `${packageName} @updraft/core @updraft/backend`,
    references: dependenciesOf(contract)
      .map((name) => `    { "path": "../../${name}/tsconfig.lib.json" }`)
      .join(',\n'),
    test: inside ? `npm run jest -- ${method.folder}` : 'npm test',
    reproduce: inside ? `npm run reproduce -- ${slug}` : 'npm run reproduce',
    testImport: inside ? '' : `import { describe, test, afterAll } from 'vitest';\n`,
  };
  const files = new Map<string, string>([['package.json', `${JSON.stringify(manifestOf(method), undefined, 2)}\n`]]);
  for (const group of ['common', inside ? 'inside' : 'outside', contract])
    for (const path of filesBelow(join(TEMPLATES, group))) {
      const target = filled(path.replaceAll('\\', '/'), names, path).replace(SUFFIX, '').replace('dot-', '.');
      files.set(target, filled(readFileSync(join(TEMPLATES, group, path), 'utf8'), names, path));
    }
  return files;
}
