// What the site consists of: which file of the repository becomes which page.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { listMethods, listPackages, root } from '../packages.mjs';

/** A page that is a Markdown file of the repository. */
export interface Page {
  /** Relative to the root, with forward slashes. */
  readonly source: string;
  /** Of the page in the site, with `.md`. */
  readonly path: string;
}

export interface MethodFolder {
  readonly folder: string;
  readonly slug: string;
  readonly contract: string;
  readonly manifest: Readonly<Record<string, unknown>> & { readonly name: string; readonly version: string };
}

const slugOf = (name: string): string => name.replace(/^@[^/]*\//, '');

/** Methods with a README, from which their pages are made; a test of every package demands one. */
export const methods = (): MethodFolder[] =>
  listMethods()
    .filter(({ folder }) => existsSync(join(root, folder, 'README.md')))
    .map(({ folder, contract, manifest }) => ({
      folder,
      contract: contract as string,
      manifest,
      slug: slugOf(manifest.name),
    }));

/** Guides, READMEs of packages, and what stands at the top. Pages of methods are made, see method-page.ts. */
export function pages(): Page[] {
  const guides = readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .sort()
    .map((name) => ({ source: `docs/${name}`, path: `guides/${name}` }));
  const packages = listPackages()
    .filter(({ contract, folder }) => contract === undefined && existsSync(join(root, folder, 'README.md')))
    .flatMap(({ folder }) =>
      readdirSync(join(root, folder))
        .filter((name) => name.endsWith('.md'))
        .map((name) => ({
          source: `${folder}/${name}`,
          path:
            name === 'README.md'
              ? `packages/${slugOf(folder.replace('packages/', ''))}.md`
              : `packages/${slugOf(folder.replace('packages/', ''))}-${name.toLowerCase()}`,
        })),
    );
  return [
    { source: 'README.md', path: 'index.md' },
    { source: 'docs/README.md', path: 'guides/index.md' },
    ...guides,
    ...packages,
    { source: 'CONTRIBUTING.md', path: 'contributing.md' },
    { source: 'SECURITY.md', path: 'security.md' },
  ];
}
