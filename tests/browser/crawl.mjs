// Every page that a role reaches by links, looked at in full; every other link at least answers.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect, shapeOf } from './page_checks.mjs';

const MOST_PAGES = 60;
const MOST_LINKS = 400;
const FILES = /\.(csv|pdf|txt|eml|svg|json|gz)$/;

/** Pages that differ by what they show only are of one kind: numbers and names in a path do not count. */
export function kindOf(url) {
  const { pathname, searchParams } = new URL(url);
  const path = pathname.split('/').map((part) => (/\d/.test(part) ? '*' : part)).join('/');
  const names = [...new Set(searchParams.keys())].sort().join('&');
  return names ? `${path}?${names}` : path;
}

/** Titles are compared without what differs between pages of one kind. */
const plainTitle = (title) => title.replace(/\d[\d.,/-]*/g, '#');

export class Crawl {
  /** `titles` is shared by all crawls: a title belongs to one kind of page, whoever looks. */
  constructor(report, titles = new Map()) {
    this.report = report;
    this.titles = titles;
    this.shapes = new Set();
    this.inspected = 0;
  }

  /** Visits what can be reached from `starts` in the context, and returns the kinds of pages seen. */
  async run(context, role, starts, { signedIn = false, mostOfAKind = 1 } = {}) {
    const page = await context.newPage();
    const origin = new URL(starts[0]).origin;
    const queue = [...starts];
    const known = new Set(queue);
    const kinds = new Map();
    const others = [];
    let visited = 0;
    while (queue.length > 0 && visited < MOST_PAGES) {
      const url = queue.shift();
      const kind = kindOf(url);
      const count = kinds.get(kind) ?? 0;
      if (count >= mostOfAKind || FILES.test(new URL(url).pathname)) {
        others.push(url);
        continue;
      }
      kinds.set(kind, count + 1);
      visited += 1;
      for (const link of await this.visit(context, page, role, url, `${kind}${count || ''}`, signedIn)) {
        if (new URL(link).origin !== origin || known.has(link) || known.size >= MOST_LINKS) continue;
        known.add(link);
        queue.push(link);
      }
    }
    await page.close();
    for (const url of [...others, ...queue]) {
      const response = await context.request.get(url, { maxRedirects: 5 });
      this.report.check(response.status() === 200, `${role} ${url}: a link leads to ${response.status()}`);
    }
    return { kinds: [...kinds.keys()].sort(), visited, links: known.size };
  }

  /** Looks at one page and returns its links. */
  async visit(context, page, role, url, name, signedIn) {
    const where = `${role} ${new URL(url).pathname}${new URL(url).search}`;
    context.complaints.length = 0;
    const response = await page.goto(url, { waitUntil: 'load' });
    this.report.equal(response.status(), 200, `${where}: status`);
    if (signedIn) {
      const caching = response.headers()['cache-control'] ?? '';
      this.report.check(caching.includes('no-store'), `${where}: a page of a signed-in person may be kept: cache-control is "${caching}"`);
    }
    const title = plainTitle(await page.title());
    const kind = kindOf(page.url()).split('?')[0];
    const owner = this.titles.get(title) ?? kind;
    this.titles.set(title, owner);
    this.report.equal(owner, kind, `${where}: the title "${title}" belongs to another kind of page`);
    const links = await page.evaluate(() => [...document.querySelectorAll('a[href]')].map((link) => link.href.split('#')[0]));
    // Who else sees the very same page need not look at it again.
    const shape = `${kindOf(page.url())}\n${await shapeOf(page)}`;
    if (!this.shapes.has(shape)) {
      this.shapes.add(shape);
      this.inspected += 1;
      this.report.problems(where, await inspect(page, pictures(page, role, name)));
    }
    this.report.problems(where, context.complaints);
    return [...new Set(links.filter((link) => link.startsWith('http')))];
  }
}

/** Takes pictures into AQUABILLS_SCREENSHOTS, when that is set. */
export function pictures(page, role, name) {
  const folder = process.env.AQUABILLS_SCREENSHOTS;
  if (!folder) return async () => {};
  return async (state) => {
    await mkdir(folder, { recursive: true });
    const file = `${role}${name.replace(/[^a-z0-9]+/gi, '_')}-${state}.png`;
    await page.screenshot({ path: join(folder, file), fullPage: true });
  };
}
