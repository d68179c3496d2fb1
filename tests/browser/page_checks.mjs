// What holds for every page, whatever is on it. Each check returns problems as `{ rule, message }`; none is good.
// self_test.mjs shows for each rule that it is seen when it is broken.
import { DESKTOP, PHONE, npmPackage } from './browser.mjs';

const AXE_TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
/** Controls are at least so high for a thumb, in CSS pixels (WCAG 2.2 asks for 24). */
const LEAST_CONTROL_HEIGHT = 40;
const MOST_TAB_STOPS = 120;

/** A page is looked at in each of these; structure does not change with colours, so half of them look at colours only. */
const STATES = [
  { name: 'phone', viewport: PHONE, colorScheme: 'light', rules: null },
  { name: 'phone dark', viewport: PHONE, colorScheme: 'dark', rules: ['color-contrast', 'link-in-text-block'] },
  { name: 'desktop dark', viewport: DESKTOP, colorScheme: 'dark', rules: null },
  { name: 'desktop', viewport: DESKTOP, colorScheme: 'light', rules: ['color-contrast', 'link-in-text-block'] },
];

/** Looks at the page that is open, in every state. `shoot(state)` may take pictures. */
export async function inspect(page, shoot = async () => {}) {
  const problems = [...(await structure(page))];
  for (const state of STATES) {
    await page.setViewportSize(state.viewport);
    await page.emulateMedia({ colorScheme: state.colorScheme });
    const found = [...(await axe(page, state.rules)), ...(state.rules ? [] : await overflow(page))];
    if (state.name === 'phone') found.push(...(await controlHeights(page)));
    problems.push(...found.map(({ rule, message }) => ({ rule, message: `${message} (${state.name})` })));
    await shoot(state.name.replace(' ', '-'));
  }
  problems.push(...(await keyboard(page)));
  return problems;
}

export async function axe(page, rules = null) {
  const { AxeBuilder } = npmPackage('@axe-core/playwright');
  // The legacy mode needs no second page; there are no frames here.
  const builder = new AxeBuilder({ page }).setLegacyMode(true);
  const result = await (rules ? builder.withRules(rules) : builder.withTags(AXE_TAGS)).analyze();
  return result.violations.map((violation) => {
    const places = violation.nodes.slice(0, 3).map((node) => `${node.target.join(' ')} ${node.failureSummary?.split('\n')[1]?.trim() ?? ''}`);
    return { rule: `axe:${violation.id}`, message: `${violation.help}: ${violation.nodes.length} × e.g. ${places.join(' | ')}` };
  });
}

/** One heading, a title, a language, ids that are unique, links to places on the page that are there. */
export function structure(page) {
  return page.evaluate(() => {
    const problems = [];
    const say = (rule, message) => problems.push({ rule, message });
    const headings = [...document.querySelectorAll('h1')].map((heading) => heading.textContent.trim());
    if (headings.length !== 1 || headings[0] === '') say('h1', `expected one h1 with text, saw ${JSON.stringify(headings)}`);
    if (document.title.trim() === '') say('title', 'the title is empty');
    const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
    const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
    if (twice.length > 0) say('ids', `ids used twice: ${[...new Set(twice)].join(', ')}`);
    for (const link of document.querySelectorAll('a[href^="#"]')) {
      const target = decodeURIComponent(link.hash.slice(1));
      if (target && !document.getElementById(target)) say('fragment', `a link leads to #${target}, which is not on the page`);
    }
    return problems;
  });
}

/** What a page is made of, without its words and numbers: two pages of one shape have the same faults. */
export function shapeOf(page) {
  return page.evaluate(() => {
    const parts = [...document.querySelectorAll('*')].map((element) => {
      // Not `attributes`: a field of that name stands in its form's way.
      const names = element.getAttributeNames().sort().join(' ');
      const said = ['class', 'role', 'type', 'name'].map((name) => element.getAttribute(name) ?? '').join('/');
      return `${element.parentElement?.tagName} ${element.tagName} ${said} ${names}`;
    });
    return [...new Set(parts)].sort().join('\n');
  });
}

/** Nothing is wider than the window, but inside a box that scrolls by itself. */
export function overflow(page) {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const scrolls = (element) => {
      for (let box = element.parentElement; box && box !== document.body; box = box.parentElement) {
        if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) return true;
      }
      return false;
    };
    const wide = [...document.body.querySelectorAll('*')].filter((element) => {
      const box = element.getBoundingClientRect();
      return box.right > width + 1 && box.width > 1 && box.height > 1 && !element.closest('svg svg') && !scrolls(element);
    });
    const total = document.documentElement.scrollWidth;
    if (total <= width && wide.length === 0) return [];
    const names = wide.slice(0, 4).map((element) => `${element.tagName.toLowerCase()}${element.className && typeof element.className === 'string' ? `.${element.className}` : ''} up to ${Math.round(element.getBoundingClientRect().right)} px`);
    return [{ rule: 'overflow', message: `the page is ${total} px wide in a window of ${width} px: ${names.join(', ')}` }];
  });
}

/** Buttons and fields are high enough for a thumb; a small box or circle has a label that is a line high. */
export function controlHeights(page) {
  return page.evaluate((least) => {
    const controls = [...document.querySelectorAll('button, select, textarea, summary, input:not([type=hidden])')];
    const small = controls.filter((control) => {
      if (!control.checkVisibility()) return false;
      const parts = ['checkbox', 'radio'].includes(control.type) ? [control, ...(control.labels ?? [])] : [control];
      const height = Math.max(...parts.map((part) => part.getBoundingClientRect().height));
      return height > 1 && height < (parts[0] === control && parts.length > 1 ? 24 : least) - 0.5;
    });
    const say = (control) => `${control.tagName.toLowerCase()} "${(control.textContent || control.name || '').trim().slice(0, 30)}" is ${Math.round(control.getBoundingClientRect().height)} px high`;
    return small.slice(0, 5).map((control) => ({ rule: 'tap-target', message: `${say(control)}, too low for a thumb` }));
  }, LEAST_CONTROL_HEIGHT);
}

/** The first stop of the keyboard is a link past the header that works; each stop shows where it is; none is left out. */
export async function keyboard(page) {
  await page.setViewportSize(DESKTOP);
  const problems = [];
  const stops = new Map();
  let last = null;
  for (let stop = 0; stop < MOST_TAB_STOPS; stop += 1) {
    await page.keyboard.press('Tab');
    const focus = await focused(page);
    // A field for a date has a stop for each of its parts.
    if (focus !== null && focus.place === last) continue;
    if (focus === null || stops.has(focus.place)) break;
    last = focus.place;
    stops.set(focus.place, focus);
    if (!focus.shown) problems.push({ rule: 'focus', message: `nothing shows the focus on ${focus.name}` });
    if (!focus.inView) problems.push({ rule: 'focus', message: `the focus is on something that cannot be seen: ${focus.name}` });
  }
  const expected = await page.evaluate(() => [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')]
    .filter((element) => element.checkVisibility() && !element.disabled && element.type !== 'radio' && element.tabIndex >= 0).length);
  const least = Math.min(expected, MOST_TAB_STOPS);
  if (stops.size < least) problems.push({ rule: 'keyboard', message: `Tab reaches ${stops.size} places of at least ${least}` });
  problems.push(...(await skipLink(page, [...stops.values()][0])));
  return problems;
}

/** What has the focus; nothing when it has left the page. */
export function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body || element === document.documentElement) return null;
    const style = getComputedStyle(element);
    const outline = style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) > 0;
    const box = element.getBoundingClientRect();
    const name = (element.textContent || element.name || element.getAttribute('aria-label') || '').trim().replace(/\s+/g, ' ').slice(0, 40);
    return {
      place: [...document.querySelectorAll('*')].indexOf(element),
      name: `${element.tagName.toLowerCase()} "${name}"`,
      tag: element.tagName.toLowerCase(),
      text: name,
      href: element.getAttribute('href'),
      shown: outline || style.boxShadow !== 'none',
      inView: box.width > 1 && box.height > 1 && box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight,
    };
  });
}

async function skipLink(page, first) {
  const say = (message) => [{ rule: 'skip-link', message }];
  if (!first?.href?.startsWith('#')) return say(`the first Tab leads to ${first?.name ?? 'nothing'}, not to a link past the header`);
  if (!first.inView) return say('the skip link cannot be seen when it has the focus');
  await page.locator(`a[href="${first.href}"]`).first().focus();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  const skipped = await page.evaluate(() => {
    const main = document.querySelector('main');
    const now = document.activeElement;
    if (!main) return 'there is no main part';
    if (now === document.body || now === document.documentElement) return null;
    // Nothing to stop at from the main part on: the keyboard begins again at the top.
    if (now.matches('a[href^="#"]') && now === document.querySelector('a[href]')) return null;
    const before = main.compareDocumentPosition(now) & Node.DOCUMENT_POSITION_PRECEDING && !now.contains(main);
    return before ? `after the skip link the next Tab is still before the main part: ${now.outerHTML.slice(0, 80)}` : null;
  });
  return skipped ? say(skipped) : [];
}
