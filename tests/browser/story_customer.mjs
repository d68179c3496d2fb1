// A customer: looks at the balance and the latest bill, follows its sum, compares chart and table, leaves; and does the
// same by keyboard only. Scripts are off throughout: the pages have none and need none.
import { focused } from './page_checks.mjs';
import { readPdf } from './pdf.mjs';
import { amounts, cents, signIn } from './session.mjs';

const squeeze = (text) => text.replace(/\s+/g, '');

export async function customerStory(town, report) {
  const context = await town.fresh({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, town.who('customer'));
  const account = await openAccount(page);
  await balanceAgrees(page, account, report);
  await page.goto(account);
  await page.getByRole('link', { name: /see this bill/i }).click();
  await billAddsUp(page, report);
  await chartAgrees(page, account, report);
  await leaves(page, account, report);
  await context.close();
}

/** Opens the first account that has a bill, and returns its address. */
export async function openAccount(page) {
  await page.goto('/account');
  if (new URL(page.url()).pathname === '/account') await page.locator('main a[href^="/account/"]').first().click();
  await page.waitForURL(/\/account\/[^/]+$/);
  return new URL(page.url()).pathname;
}

async function balanceAgrees(page, account, report) {
  const due = cents(await page.locator('.amount-due').first().innerText());
  await page.goto(`${account}/activity`);
  const latest = (await amounts(page.locator('main')))[0];
  report.equal(latest?.cents, due, 'the balance on the overview is the last row of the activity');
  const rows = (await amounts(page.locator('main table').first())).map((row) => row.cells.map(cents).filter((amount) => amount !== null));
  // Newest first: each balance is the one below it and the row's own amount.
  for (const [at, [amount, balance]] of rows.slice(0, -1).entries()) {
    report.equal(balance, rows[at + 1][1] + amount, `row ${at + 1} of the activity adds up`);
  }
}

/** Previous balance, payments, adjustments and charges as they stand on the bill make the amount due. */
export async function billAddsUp(page, report) {
  const where = new URL(page.url()).pathname;
  const sum = (await amounts(page.locator('main section', { has: page.getByRole('rowheader', { name: 'Previous balance' }) }))).filter((row) => row.label !== '');
  const { previous, entries, payments, adjustments, charges, due } = billSum(sum);
  const known = [previous, payments, charges, due].every((amount) => amount !== undefined);
  report.check(known, `${where}: the sum of the bill names its parts; seen: ${sum.map((row) => row.label).join(' | ')}`);
  report.equal(due, previous + payments + adjustments + charges, `${where}: previous balance, payments, adjustments and charges make the amount due`);
  report.equal(entries, payments + adjustments, `${where}: each payment and adjustment is listed`);
  report.equal(cents(await page.locator('.amount-due').first().innerText()), due, `${where}: the amount due is the same at the head and in the sum`);
  const text = await page.locator('main').innerText();
  report.check(/deducted:\s*payment of|no payment/i.test(text), `${where}: the bill says which payment was deducted last`);
}

/** The figures of a bill's sum, from its rows: the parts by name, and what is listed between them. */
export function billSum(rows) {
  const find = (pattern) => rows.find((row) => pattern.test(row.label))?.cents;
  const from = rows.findIndex((row) => /^previous balance/i.test(row.label));
  const to = rows.findIndex((row, at) => at > from && /charges/i.test(row.label));
  const totals = /^(payments received|adjustments)$/i;
  return {
    previous: rows[from]?.cents,
    entries: rows.slice(from + 1, to).filter((row) => !totals.test(row.label)).reduce((sum, row) => sum + row.cents, 0),
    payments: find(/^payments received$/i),
    adjustments: find(/^adjustments$/i) ?? 0,
    charges: rows[to]?.cents,
    due: find(/^amount due/i),
  };
}

/** Every bar of the chart says what a row of the table says, and the other way round. */
async function chartAgrees(page, account, report) {
  await page.goto(`${account}/usage`);
  const charts = await page.locator('main section', { has: page.locator('svg.chart') }).evaluateAll((sections) => sections.map((section) => ({
    bars: [...section.querySelectorAll('svg.chart g > title')].map((title) => title.textContent),
    rows: [...section.querySelectorAll('tbody tr')].map((row) => [row.cells[0].innerText.trim(), row.cells[1].innerText.trim()]),
  })));
  report.check(charts.length > 0, `${account}/usage has a chart`);
  for (const { bars, rows } of charts) {
    const fromBars = bars.map((title) => /to (.+?): ([\d.,−-]+)/.exec(title)).map((found) => (found ? `${found[1]} ${found[2]}` : 'unclear')).sort();
    const fromRows = rows.map(([day, usage]) => `${day} ${usage}`).sort();
    report.equal(JSON.stringify(fromBars), JSON.stringify(fromRows), `${account}/usage: the bars and the table`);
  }
}

/** After signing out nothing is left: not by address, not by the button that goes back. */
async function leaves(page, account, report) {
  await page.goto(account);
  await page.getByRole('button', { name: /sign out/i }).click();
  await page.waitForLoadState('load');
  const number = decodeURIComponent(account.split('/').pop());
  await page.goBack({ waitUntil: 'load' });
  report.check(!(await page.locator('body').innerText()).includes(number), 'the page before is not shown again after signing out');
  await page.goto(account);
  report.check(new URL(page.url()).pathname.startsWith('/sign-in'), `after signing out ${account} leads to the sign-in, not to ${page.url()}`);
}

/** Signs in and opens a bill with the keyboard alone; the focus can be seen at every stop. */
export async function keyboardStory(town, report) {
  const context = await town.fresh({ javaScriptEnabled: false });
  const page = await context.newPage();
  const who = town.who('customer');
  await page.goto('/sign-in');
  await tabTo(page, report, (focus) => focus.tag === 'input');
  await page.keyboard.type(who.email);
  await page.keyboard.press('Tab');
  await page.keyboard.type(who.password);
  await Promise.all([page.waitForURL((url) => !url.pathname.startsWith('/sign-in')), page.keyboard.press('Enter')]);
  if (new URL(page.url()).pathname === '/account') await tabTo(page, report, (focus) => focus.href?.startsWith('/account/'), true);
  await tabTo(page, report, (focus) => focus.href?.startsWith('/bills/'), true);
  report.check(new URL(page.url()).pathname.startsWith('/bills/'), `a bill is opened by keyboard: ${page.url()}`);
  await context.close();
}

async function tabTo(page, report, wanted, open = false) {
  for (let stop = 0; stop < 80; stop += 1) {
    await page.keyboard.press('Tab');
    const focus = await focused(page);
    if (focus === null) continue;
    report.check(focus.shown && focus.inView, `the focus can be seen on ${focus.name} at ${page.url()}`);
    if (!wanted(focus)) continue;
    const here = page.url();
    if (open) await Promise.all([page.waitForURL((url) => url.href !== here), page.keyboard.press('Enter')]);
    return;
  }
  throw new Error(`the keyboard does not reach what it should at ${page.url()}`);
}

/** A bill on paper: one or two sheets with the amount due and the account on them, and nothing to click. */
export async function paperStory(town, report) {
  const context = await town.as('customer');
  const page = await context.newPage();
  const account = await openAccount(page);
  await page.getByRole('link', { name: /see this bill/i }).click();
  await page.waitForURL(/\/bills\//);
  const where = new URL(page.url()).pathname;
  const due = squeeze(await page.locator('.amount-due').first().evaluate((element) => element.firstChild?.textContent ?? ''));
  for (const format of ['A4', 'Letter']) {
    const { pages, text } = readPdf(await page.pdf({ format, preferCSSPageSize: false, printBackground: false }));
    report.check(pages >= 1 && pages <= 2, `${where} on ${format}: ${pages} pages`);
    report.check(cents(due) !== null && text.includes(due), `${where} on ${format}: the amount due ${due} is on it`);
    report.check(text.includes(squeeze(decodeURIComponent(account.split('/').pop()))), `${where} on ${format}: the account number is on it`);
  }
  await page.emulateMedia({ media: 'print' });
  report.check(!(await page.getByRole('navigation').first().isVisible()), `${where}: no navigation on paper`);
  await context.close();
}

/** What a customer can change: preferences, and an own reading where the page offers one. */
export async function preferencesStory(town, report) {
  const context = await town.fresh({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, town.who('customer'));
  await page.goto('/profile');
  const box = page.locator('main input[type="checkbox"]').first();
  const before = await box.isChecked();
  const name = await box.getAttribute('name');
  const saves = page.locator('main form', { has: page.locator('input[type="checkbox"]') }).getByRole('button').first();
  await box.setChecked(!before);
  await saves.click();
  await page.waitForLoadState('load');
  await page.goto('/profile');
  report.equal(await page.locator(`main input[name="${name}"]`).first().isChecked(), !before, `the preference ${name} is kept`);
  await page.locator(`main input[name="${name}"]`).first().setChecked(before);
  await page.locator('main form', { has: page.locator(`[name="${name}"]`) }).getByRole('button').first().click();
  await context.close();
}

