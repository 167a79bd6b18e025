// Bundles the script and the style sheet of the report page (folder `page`) into strings, with the hashes that the
// page's content security policy names.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const page = fileURLToPath(new URL('../page', import.meta.url));

const require = createRequire(import.meta.url);

/** The text of `src/generated/page-assets.ts`. */
export async function pageAssets() {
  // The licence of uPlot asks for its text wherever its code goes; its sources mark no comment to be kept.
  const licence = await readFile(require.resolve('uplot/LICENSE'), 'utf8');
  const notice = `/*! This page contains uPlot (https://github.com/leeoniya/uPlot).\n${licence.trim()} */`;
  const { outputFiles } = await build({
    absWorkingDir: page,
    entryPoints: { script: 'main.ts', style: 'style.css' },
    outdir: 'bundle',
    bundle: true,
    write: false,
    minify: true,
    format: 'iife',
    target: ['es2022'],
    charset: 'ascii',
    legalComments: 'inline',
    banner: { js: notice, css: notice },
    conditions: ['@updraft/source'],
    tsconfigRaw: {},
  });
  const text = (extension) => outputFiles.find((file) => file.path.endsWith(extension)).text.trim();
  const script = text('.js');
  // The script stands inside a script element, which these would end or open again.
  if (/<\/script|<!--/i.test(script)) throw new Error('The page script holds a sequence that would end its element.');
  return [
    '// Made from packages/report/page by `npm run generate:page -w @updraft/report`. Do not edit.',
    ...constant('pageScript', 'The script of the page, uPlot included.', script),
    ...constant('pageScriptHash', 'For `script-src` of a content security policy.', hash(script)),
    ...constant('pageStyle', 'The style sheet of the page.', text('.css')),
    ...constant('pageStyleHash', 'For `style-src` of a content security policy.', hash(text('.css'))),
    '',
  ].join('\n');
}

function constant(name, comment, value) {
  return ['', `/** ${comment} */`, `export const ${name} =`, `  ${JSON.stringify(value)};`];
}

function hash(text) {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
