import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

/** Links within a built site (clean URLs) whose page or heading does not exist. */
export function deadLinks(site: string): string[] {
  const files = readdirSync(site, { recursive: true, encoding: 'utf8' }).map((path) => path.replaceAll('\\', '/'));
  const html = new Map(
    files.filter((path) => path.endsWith('.html')).map((path) => [path, readFileSync(join(site, path), 'utf8')]),
  );
  const ids = new Map(
    [...html].map(([path, text]) => [path, new Set([...text.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id))]),
  );
  const fileOf = (target: string): string | undefined =>
    [target, `${target}.html`, posix.join(target, 'index.html')].find((path) => html.has(path));
  return [...html].flatMap(([from, text]) =>
    [...text.matchAll(/<a\s[^>]*?href="([^"]*)"/g)].flatMap(([, href = '']) => {
      if (/^(?:[a-z]+:|\/\/)/.test(href) || href === '#') return [];
      const [path = '', anchor = ''] = decodeURI(href.replaceAll('&amp;', '&')).split('#');
      const target =
        path === ''
          ? from
          : posix
              .normalize(path.startsWith('/') ? path.slice(1) || '.' : posix.join(dirname(from), path))
              .replace(/\/$/, '');
      const file = path === '' ? from : fileOf(target === '.' ? '' : target);
      if (file === undefined) return existsSync(join(site, target)) ? [] : [`${from}: ${href}`];
      return anchor === '' || ids.get(file)?.has(decodeURIComponent(anchor)) === true ? [] : [`${from}: ${href}`];
    }),
  );
}
