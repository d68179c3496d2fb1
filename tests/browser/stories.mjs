// Which stories are told, and in which order. At most two run at a time: the machines that test have two cores.
import { newContext } from './browser.mjs';
import { Crawl } from './crawl.mjs';
import { signIn } from './session.mjs';
import { bankStory } from './story_bank.mjs';
import { customerStory, keyboardStory, paperStory, preferencesStory } from './story_customer.mjs';
import { payStory } from './story_pay.mjs';
import { clerkStory } from './story_staff.mjs';
import { firstVisitStory, readingStory, workStory } from './story_work.mjs';

const STAFF = ['clerk', 'supervisor', 'auditor', 'administrator'];
/** Where each begins to follow links. */
const STARTS = { visitor: ['/', '/sign-in', '/sign-in/link'], customer: ['/account', '/profile'], staff: ['/staff', '/staff/search?q=mill', '/profile/sign-in'] };
/** Kinds of pages that must be among those seen, so that a lost link is noticed. */
const MUST_SEE = {
  visitor: ['/', '/sign-in', '/sign-in/link', '/pay/guest'],
  customer: ['/account/*', '/account/*/bills', '/account/*/activity', '/account/*/usage', '/bills/*', '/profile', '/pay'],
  clerk: ['/staff', '/staff/accounts/*', '/staff/accounts/*/payment', '/staff/accounts/*/read', '/staff/accounts/*/adjustment', '/staff/todos', '/staff/runs', '/staff/payouts'],
  supervisor: ['/staff', '/staff/runs', '/staff/runs/*', '/staff/notices'],
  auditor: ['/staff', '/staff/audit'],
  administrator: ['/staff', '/staff/logins'],
};

/** Whose pages are looked at twice of a kind: an empty one and a full one are often different. */
const TWICE = ['visitor', 'customer'];

/** `mail` is the folder that the town's letters go to. */
export async function stories(browser, report, base, signIns, mail) {
  const town = new Town(browser, report, base, signIns, mail);
  const roles = ['visitor', 'customer', ...STAFF];
  const looks = roles.map((role) => [`pages of the ${role}`, () => town.look(role)]);
  const acts = [
    ['customer without scripts', () => customerStory(town, report)],
    ['customer by keyboard', () => keyboardStory(town, report)],
    ['bill on paper', () => paperStory(town, report)],
    ['preferences without scripts', () => preferencesStory(town, report)],
    ['clerk without scripts', () => clerkStory(town, report)],
    ['own reading without scripts', () => readingStory(town, report)],
    ['work list and run', () => workStory(town, report)],
    ['first visit', () => firstVisitStory(town, report)],
    ['bank files without scripts', () => bankStory(town, report)],
  ];
  // Who only looks goes first: what is done changes what is seen.
  await town.tell(looks);
  console.log(`       ${town.crawl.inspected} pages of different shapes were looked at in full`);
  // A bill that follows a payment: before anybody else pays or reads.
  await town.tell([['paying online', () => payStory(town, report)]]);
  await town.tell(acts);
}

class Town {
  constructor(browser, report, base, signIns, mail) {
    Object.assign(this, { browser, report, base, signIns, mail });
    this.crawl = new Crawl(report);
    this.states = new Map();
  }

  who(role) {
    const found = this.signIns.find((who) => who.role === role);
    if (!found) throw new Error(`the demonstration printed no sign-in of a ${role}`);
    return found;
  }

  /** A browser that nobody used before. */
  fresh(options) {
    return newContext(this.browser, this.base, options);
  }

  /** A browser in which somebody of the role is signed in: once for all stories, as codes are good only once. */
  async as(role, options = {}) {
    if (!this.states.has(role)) this.states.set(role, this.enter(role));
    return this.fresh({ ...options, storageState: await this.states.get(role) });
  }

  async enter(role) {
    const context = await this.fresh();
    await signIn(await context.newPage(), this.who(role));
    const state = await context.storageState();
    await context.close();
    return state;
  }

  /** Tells stories two at a time. */
  async tell(told) {
    const only = process.env.AQUABILLS_STORY;
    const waiting = told.filter(([name]) => !only || name.includes(only));
    const teller = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) await this.report.story(...next);
    };
    await Promise.all([teller(), teller()]);
  }

  /** Looks at every page that a role reaches. */
  async look(role) {
    const context = role === 'visitor' ? await this.fresh() : await this.as(role);
    const starts = (STARTS[role] ?? STARTS.staff).map((path) => `${this.base}${path}`);
    const seen = await this.crawl.run(context, role, starts, {
      signedIn: role !== 'visitor', mostOfAKind: TWICE.includes(role) ? 2 : 1,
    });
    console.log(`       ${role}: ${seen.visited} pages of ${seen.kinds.length} kinds, ${seen.links} links: ${seen.kinds.join(' ')}`);
    const missing = MUST_SEE[role].filter((kind) => !seen.kinds.some((seenKind) => seenKind.split('?')[0] === kind));
    this.report.check(missing.length === 0, `${role}: no link leads to ${missing.join(', ')}`);
    await context.close();
  }
}
