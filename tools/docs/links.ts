// Links between files of the repository, as links between pages of the site.
import { existsSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { root } from '../packages.mjs';
import type { Page } from './pages.js';

export interface LinkChanges {
  /** The page's text with links that the site understands. */
  readonly markdown: string;
  /** Files that it shows (pictures), to be copied to the same path of the site. */
  readonly files: readonly string[];
  /** Links to what there is not. */
  readonly broken: readonly string[];
}

/** Blocks of code at odd places; the text between them at even ones. */
const CODE_BLOCKS = /(^```[\s\S]*?^```$)/m;
/** `[label](target)`, or a picture; labels may hold brackets of their own. */
const LINK = /(!?)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)/g;

/**
 * Rewrite links. What is a page of the site is linked there; other files of the repository are named, since the site does
 * not have them.
 *
 * @param source Path of the file in the repository; links are relative to it.
 */
export function siteLinks(markdown: string, source: string, pages: readonly Page[]): LinkChanges {
  const files: string[] = [];
  const broken: string[] = [];
  const paths = new Map(pages.map((page) => [page.source, page.path]));
  const pageOf = (target: string): string | undefined =>
    paths.get(target) ?? paths.get(posix.join(target, 'README.md'));
  const rewritten = (whole: string, image: string, label: string, href: string): string => {
    if (/^(?:[a-z]+:|#|\/)/.test(href)) return whole;
    const [path = '', anchor] = href.split('#');
    const target = posix.normalize(posix.join(dirname(source), path)).replace(/\/$/, '');
    if (!existsSync(join(root, target))) {
      broken.push(`${source}: ${href}`);
      return whole;
    }
    if (image === '!') {
      files.push(target);
      return `![${label}](/${target})`;
    }
    const page = pageOf(target);
    return page === undefined ? label : `[${label}](/${page}${anchor === undefined ? '' : `#${anchor}`})`;
  };
  const parts = markdown.split(CODE_BLOCKS);
  return {
    markdown: parts.map((part, index) => (index % 2 === 0 ? part.replace(LINK, rewritten) : part)).join(''),
    files,
    broken,
  };
}
