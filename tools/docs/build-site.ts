// Builds the site in dist/docs: `npm run docs`. Pages are the Markdown files of the repository and one page per method.
// Links to what there is not fail the build, those to files, to pages and to headings alike.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../packages.mjs';
import { deadLinks } from './dead-links.js';
import { siteLinks } from './links.js';
import { methodFacts, methodPage, overviewTable, type MethodFacts } from './method-page.js';
import { methods, pages, type Page } from './pages.js';

const SOURCE = join(root, 'dist/docs-source');
const SITE = join(root, 'dist/docs');

const titleOf = (markdown: string): string => /^# (.*)$/m.exec(markdown)?.[1]?.replaceAll('`', '') ?? 'Untitled';

const facts: MethodFacts[] = [];
for (const method of methods()) facts.push(await methodFacts(method));
const all: Page[] = [
  ...pages(),
  ...facts.map(({ folder, slug }) => ({ source: `${folder}/README.md`, path: `methods/${slug}.md` })),
];
const overview = `# Methods\n\n${facts.length} methods, each a package of its own with its experiment. A claim is *shown*, *partly* shown or *not shown* at the scale of that experiment; records say why.\n\n${overviewTable(facts)}\n`;

rmSync(SOURCE, { recursive: true, force: true });
rmSync(SITE, { recursive: true, force: true });
const broken: string[] = [];
const titles = new Map<string, string>();

function write(page: Page, markdown: string): void {
  const changed = siteLinks(markdown, page.source, all);
  broken.push(...changed.broken);
  const target = join(SOURCE, page.path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, changed.markdown);
  titles.set(page.path, titleOf(markdown));
  for (const file of changed.files) {
    mkdirSync(join(SOURCE, 'public', dirname(file)), { recursive: true });
    cpSync(join(root, file), join(SOURCE, 'public', file));
  }
}

for (const page of pages()) write(page, readFileSync(join(root, page.source), 'utf8'));
for (const method of facts)
  write({ source: `${method.folder}/README.md`, path: `methods/${method.slug}.md` }, methodPage(method));
mkdirSync(join(SOURCE, 'methods'), { recursive: true });
writeFileSync(join(SOURCE, 'methods/index.md'), overview);

const item = ({ path }: Page): object => ({
  text: titles.get(path),
  link: `/${path.replace(/(index)?\.md$/, '')}`,
});
const group = (text: string, start: string, first?: object): object => ({
  text,
  collapsed: false,
  items: [...(first === undefined ? [] : [first]), ...all.filter(({ path }) => path.startsWith(start)).map(item)],
});
const sidebar = [
  { text: 'Updraft', items: all.filter(({ path }) => !path.includes('/')).map(item) },
  group('Guides', 'guides/'),
  group('Methods', 'methods/', { text: 'All methods', link: '/methods/' }),
  group('Packages', 'packages/'),
];
mkdirSync(join(SOURCE, '.vitepress'), { recursive: true });
writeFileSync(join(SOURCE, '.vitepress/sidebar.json'), JSON.stringify(sidebar, undefined, 2));
cpSync(join(root, 'tools/docs/site/config.mts'), join(SOURCE, '.vitepress/config.mts'));

if (broken.length === 0) {
  const vitepress = join(root, 'node_modules/vitepress/bin/vitepress.js');
  const { status } = spawnSync(process.execPath, [vitepress, 'build', SOURCE], {
    cwd: root,
    stdio: 'inherit',
    // The loader and the conditions of this script are not meant for it.
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  if (status !== 0 || !existsSync(join(SITE, 'index.html'))) throw new Error('The site could not be built.');
  broken.push(...deadLinks(SITE));
}
if (broken.length > 0) {
  console.error(`Broken links:\n${broken.map((each) => `  ${each}`).join('\n')}`);
  process.exitCode = 1;
} else
  console.log(
    `${all.length + 1} pages in dist/docs, ${facts.length} of them methods; ${readdirSync(SITE).length} entries, no broken link.`,
  );
