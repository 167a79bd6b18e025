// Settings of the site. Copied beside the pages by build-site.ts, which also writes sidebar.json.
import { readFileSync } from 'node:fs';
import { defineConfig, type DefaultTheme } from 'vitepress';

const sidebar = JSON.parse(
  readFileSync(new URL('sidebar.json', import.meta.url), 'utf8'),
) as DefaultTheme.SidebarItem[];

export default defineConfig({
  title: 'Updraft',
  description: 'Composable training for ONNX Runtime, in TypeScript',
  lang: 'en-GB',
  outDir: '../docs',
  cleanUrls: true,
  // A dead link ends the build.
  ignoreDeadLinks: false,
  markdown: { math: true },
  themeConfig: {
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    nav: [
      { text: 'Guides', link: '/guides/' },
      { text: 'Methods', link: '/methods/' },
    ],
    sidebar,
  },
});
