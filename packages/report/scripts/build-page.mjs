import { writeFile } from 'node:fs/promises';
import { pageAssets } from './page-assets.mjs';

await writeFile(new URL('../src/generated/page-assets.ts', import.meta.url), await pageAssets());
