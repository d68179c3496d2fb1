// What changes things for many: a clerk decides work items, a supervisor bills what they released; a customer sends a
// reading and another comes for the first time by a mailed link. Scripts are off, except where a page
// is inspected: axe is one.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DESKTOP } from './browser.mjs';
import { pictures } from './crawl.mjs';
import { inspect } from './page_checks.mjs';
import { cents, send, signIn } from './session.mjs';
import { openAccount } from './story_customer.mjs';

const NEW_PASSWORD = 'quiet rivers turn slowly at night';

/** The clerk first, then the supervisor: what is released is what there is to bill. */
export async function workStory(town, report) {
  await clerkDecides(town, report);
  await supervisorBills(town, report);
}

const tick = (page, kind) => page.locator('section.todo', { hasText: kind }).first().getByRole('checkbox');

async function clerkDecides(town, report) {
  const context = await town.as('clerk', { javaScriptEnabled: false, viewport: DESKTOP });
  const page = await context.newPage();
  await page.goto('/staff/todos');
  const items = await page.locator('section.todo').count();
  report.check(items >= 2, `the demonstration leaves work items to a clerk: ${items}`);
  await send(page, /release/);
  report.check(await page.getByRole('alert').isVisible(), 'nothing ticked, nothing decided, and the page says so');
  await tick(page, 'Doubtful read').check();
  await send(page, /reject/);
  report.check(await page.getByRole('alert').isVisible(), 'a rejection without a note is refused');
  report.check(await tick(page, 'Doubtful read').isChecked(), 'what was ticked is still ticked');
  await send(page, /release/, { note: 'Asked the customer: a burst pipe' });
  report.check(/1 item released/.test(await page.locator('main').innerText()), `one item is released: ${(await page.locator('main').innerText()).slice(0, 200)}`);
  await page.goto('/staff/todos');
  report.equal(await page.locator('section.todo').count(), items - 1, 'it waits no more');
  await context.close();
}

async function supervisorBills(town, report) {
  const context = await town.as('supervisor', { viewport: DESKTOP });
  const page = await context.newPage();
  await page.goto('/staff/runs');
  const before = await page.locator('main tbody tr').first().innerText();
  await page.goto('/staff/run');
  const cycle = await page.locator('[name="cycle"] option').evaluateAll((all) => all.map((option) => option.value).findLast((value) => value && value !== 'all'));
  await send(page, 'Start', { cycle, through: '2999-01-01' });
  report.equal(await page.locator('[name="through"]').getAttribute('aria-invalid'), 'true', 'a day in the future is refused');
  const through = new Date().toISOString().slice(0, 10);
  await page.goto('/staff/run');
  const today = await page.locator('[name="through"]').inputValue();
  report.check(Math.abs(Date.parse(today) - Date.parse(through)) <= 86_400_000, `the form offers today: ${today}`);
  await send(page, 'Start', { cycle, dry_run: true });
  const trial = await page.locator('main').innerText();
  report.check(trial.includes('Nothing was written') && (await page.locator('ul.gates li').count()) >= 5, `a trial shows what would be billed: ${trial.slice(0, 300)}`);
  report.problems('supervisor /staff/run after a trial', await inspect(page, pictures(page, 'supervisor', '_staff_run_trial')));
  await page.goto('/staff/runs');
  report.equal(await page.locator('main tbody tr').first().innerText(), before, 'a trial leaves no run behind');
  await page.goto('/staff/run');
  await send(page, 'Start', { cycle });
  const run = new URL(page.url()).pathname;
  report.check(/^\/staff\/runs\/\d+$/.test(run), `a started run is shown: ${page.url()}`);
  await reaches(page, run, /waits for approval|held by its gates/, report);
  report.problems(`supervisor ${run} waiting`, await inspect(page, pictures(page, 'supervisor', '_staff_run_waiting')));
  const bills = Number((await page.locator('dt:text-is("Bills") + dd').first().innerText()).replaceAll(',', ''));
  report.check(bills >= 1, `${run} bills what was released: ${bills}`);
  await issues(page, run, report);
  await page.goto(`${run}/bills`);
  report.equal(await page.locator('main tbody tr').count(), bills, 'every bill of the run is listed');
  await page.locator('main a[href^="/bills/"]').first().click();
  report.check(cents(await page.locator('.amount-due').first().innerText()) !== null, 'an issued bill is open to be read');
  await context.close();
}

/** Loads a run's page until its status is the one that is waited for. */
export async function reaches(page, run, status, report) {
  for (let look = 0; look < 60; look += 1) {
    await page.goto(run);
    if (status.test(await page.locator('h1').innerText())) return;
    await pause(500);
  }
  report.fail(`${run} does not get to ${status}: ${await page.locator('h1').innerText()}`);
}

export async function issues(page, run, report) {
  if (await page.locator('textarea[name="reason"]').count()) {
    await send(page, /issue it all the same/i);
    report.equal(await page.locator('[name="reason"]').getAttribute('aria-invalid'), 'true', 'gates are not overruled without a reason');
    await send(page, /issue it all the same/i, { reason: 'A few late bills after the burst pipe' });
  } else {
    await send(page, 'Approve and issue');
  }
  await reaches(page, run, /\bissued\b/, report);
  const history = await page.locator('main').innerText();
  report.check(/approved by/i.test(history), `${run} says who approved it`);
}

/** A customer's own reading, on the day after the last one. */
export async function readingStory(town, report) {
  const context = await town.fresh({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, town.who('customer'));
  const account = await openAccount(page);
  await page.getByRole('link', { name: /your own reading/i }).click();
  await page.waitForURL(/\/reading$/);
  const hint = page.locator('#reading-hint');
  const last = Number(/showed\s+([\d,.]+)\s+on/.exec(await hint.innerText())?.[1].replaceAll(',', ''));
  const on = await hint.locator('time').first().getAttribute('datetime');
  const next = new Date(Date.parse(on) + 86_400_000).toISOString().slice(0, 10);
  await send(page, 'Send reading', { reading: 'twelve', read_on: next });
  report.equal(await page.locator('[name="reading"]').getAttribute('aria-invalid'), 'true', 'a reading that is no number is refused');
  await send(page, 'Send reading', { reading: String(Math.trunc(last) + 1), read_on: next });
  const said = await page.locator('main').innerText();
  report.check(/thank you/i.test(said) && new URL(page.url()).pathname === account, `the reading ${last + 1} of ${next} is taken: ${said.slice(0, 300)}`);
  await context.close();
}

/** Somebody comes for the first time: asks for a link, finds it in the mail, sets a password, signs in. */
export async function firstVisitStory(town, report) {
  const email = await somebody(town);
  const context = await town.fresh();
  const page = await context.newPage();
  await page.goto('/sign-in/link');
  await page.locator('main input[type="email"]').fill(email);
  await Promise.all([page.waitForRequest((sent) => sent.method() === 'POST'), page.locator('main form button').first().click()]);
  await page.waitForLoadState('load');
  const link = await mailedLink(town.mail, email);
  await page.goto(link);
  report.problems('visitor /password/*', await inspect(page, pictures(page, 'visitor', '_password')));
  await send(page, /set the password/i, { password: 'short', repeated: 'short' });
  report.check(await page.getByRole('alert').isVisible(), 'a short password is refused');
  await send(page, /set the password/i, { password: NEW_PASSWORD, repeated: NEW_PASSWORD });
  report.check(page.url().includes('/sign-in'), `after the password comes the sign-in: ${page.url()}`);
  await signIn(page, { role: 'customer', email, password: NEW_PASSWORD });
  await page.goto('/profile');
  report.check((await page.locator('main').innerText()).includes(email), `the profile is that of ${email}`);
  const used = await context.request.get(link);
  report.equal(used.status(), 410, 'the link is good once');
  await context.close();
}

/** The address of a customer who has no sign-in yet. */
async function somebody(town) {
  const context = await town.as('clerk', { javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto('/staff/search?q=mill');
  const paths = await page.locator('main tbody a[href^="/staff/accounts/"]').evaluateAll((links) => links.map((link) => link.getAttribute('href')));
  for (const path of paths.reverse()) {
    await page.goto(path);
    const email = (await page.locator('dt:text-is("E-mail") + dd').first().innerText()).trim();
    if (email.includes('@') && !town.signIns.some((who) => who.email === email)) {
      await context.close();
      return email;
    }
  }
  throw new Error('no account that was found has an e-mail address');
}

/** The link in a letter to an address, once the letter is in the folder. */
async function mailedLink(folder, email) {
  for (let look = 0; look < 120; look += 1) {
    const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('password_link.eml')).sort().reverse();
    for (const name of names) {
      const text = (await readFile(join(folder, name), 'utf8')).replace(/=\r?\n/g, '').replaceAll('=3D', '=');
      const link = /\/password\/[\w~.-]+/.exec(text);
      if (link && text.includes(email)) return link[0];
    }
    await pause(250);
  }
  throw new Error(`no letter with a link for ${email} is in ${folder}`);
}
