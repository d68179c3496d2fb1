// Paying online: a customer pays at the sandbox's checkout, comes back to "received", sees "posted", and finds the payment on
// the next bill; a card is declined, somebody turns back, a guest pays. The pages look again by themselves; nothing is clicked
// for that. Scripts are on only because axe is one: the pages have none.
import { DESKTOP } from './browser.mjs';
import { pictures } from './crawl.mjs';
import { inspect } from './page_checks.mjs';
import { cents, send } from './session.mjs';
import { openAccount } from './story_customer.mjs';
import { issues, reaches } from './story_work.mjs';

const AMOUNT = '23.45';

export async function payStory(town, report) {
  const context = await town.as('customer');
  const page = await context.newPage();
  const account = await openAccount(page);
  const before = await balance(page, account);
  const sandbox = await receivedThenPosted(context, page, account, report);
  report.equal(await balance(page, account), before - cents(`$${AMOUNT}`), 'the payment is deducted from the balance');
  report.check((await page.locator('main').innerText()).includes('Payment received, thank you'), 'the payment is in the activity');
  await declinedAndUnpaid(page, account, report);
  report.equal(await balance(page, account), before - cents(`$${AMOUNT}`), 'what was declined moves nothing');
  await guestPays(town, sandbox, account, report);
  await nextBillDeducts(town, page, account, report);
  await context.close();
}

async function balance(page, account) {
  await page.goto(account);
  return cents(await page.locator('.amount-due').first().innerText());
}

/** Fills in an amount and goes on to the provider's page. */
async function goesOn(page, account, amount) {
  await page.goto(account);
  await page.getByRole('link', { name: /^pay (online|in advance)$/i }).first().click();
  await page.waitForURL(/\/pay\?account=/);
  await page.locator('[name="amount-1"]').fill(amount);
  await page.locator('main').getByRole('button', { name: 'Go on to pay' }).click();
  await page.waitForURL(/\/c\/pay\//);
}

/** Waits until the page that is open has a heading, by its own looking again. */
async function shows(page, heading) {
  await page.getByRole('heading', { level: 1, name: heading }).waitFor();
}

async function looked(page, report, name) {
  report.problems(`customer ${name}`, await inspect(page, pictures(page, 'customer', `_pay_${name.replaceAll(' ', '_')}`)));
}

async function receivedThenPosted(context, page, account, report) {
  await goesOn(page, account, AMOUNT);
  const sandbox = new URL(page.url()).origin;
  report.check((await page.locator('main').innerText()).includes(AMOUNT), 'the provider asks for the amount that was chosen');
  // Callbacks are held, so that "received" can be looked at in peace.
  await context.request.put(`${sandbox}/sandbox/faults`, { data: { hold: true } });
  await page.getByRole('button', { name: /^pay by card/i }).click();
  await page.waitForURL(/\/pay\/[\w-]{43}/);
  await shows(page, 'Payment received, not yet posted');
  const mine = page.url().split('?')[0];
  await page.goto(account);
  report.check(/is on its way.*not yet deducted/i.test(await page.locator('main').innerText()), 'the account says that a payment is on its way');
  await looked(page, report, 'account with a payment on its way');
  await page.goto(`${mine}?wait=off`);
  await looked(page, report, 'received');
  await page.goto(mine);
  await context.request.post(`${sandbox}/sandbox/faults/reset`);
  await shows(page, 'Paid, thank you');
  await looked(page, report, 'posted');
  return sandbox;
}

async function declinedAndUnpaid(page, account, report) {
  await goesOn(page, account, '5.00');
  await page.getByRole('button', { name: /declined/i }).click();
  await page.getByRole('alert').waitFor();
  report.check(page.url().includes('/c/pay/'), 'after a declined card the provider offers another way');
  await page.getByRole('button', { name: /cancel/i }).click();
  await page.waitForURL(/\/pay\/.*back=unpaid/);
  for (let look = 0; look < 20 && !(await page.getByRole('heading', { level: 1, name: 'The payment was declined' }).count()); look += 1) {
    await page.waitForTimeout(250);
    await page.reload();
  }
  await shows(page, 'The payment was declined');
  await looked(page, report, 'declined');
  await goesOn(page, account, '6.00');
  await page.getByRole('button', { name: /cancel/i }).click();
  await page.waitForURL(/back=unpaid/);
  await shows(page, 'You have not paid');
  await looked(page, report, 'unpaid');
  await page.goto('/pay');
  await page.locator('[name="amount-1"]').fill('1,50');
  await send(page, 'Go on to pay');
  report.equal(await page.locator('[name="amount-1"]').getAttribute('aria-invalid'), 'true', 'an amount that may mean two things is refused');
  await looked(page, report, 'refused');
}

/** Somebody who is not signed in pays for the account; its number and postcode are on the account's own page. */
async function guestPays(town, sandbox, account, report) {
  const [customer, context] = [await town.as('customer'), await town.fresh()];
  const [own, page] = [await customer.newPage(), await context.newPage()];
  await own.goto(account);
  const address = await own.locator('main .lead').first().innerText();
  const before = await balance(own, account);
  const [number, postcode] = [decodeURIComponent(account.split('/').pop()), /(\d{5})\s*$/.exec(address)?.[1] ?? ''];
  const look = async (name) => report.problems(`visitor ${name}`, await inspect(page, pictures(page, 'visitor', `_pay_${name}`)));
  await page.goto('/sign-in');
  await page.getByRole('link', { name: /without signing in/i }).click();
  await send(page, 'Go on', { number, postcode: '00000' });
  report.check(await page.getByRole('alert').isVisible(), 'a wrong postcode is refused');
  await look('guest_wrong');
  await send(page, 'Go on', { number, postcode });
  report.equal(cents(await page.locator('[name="amount"]').inputValue().then((value) => `$${value}`)), before > 0 ? before : null, 'what is due is filled in');
  await look('guest_amount');
  await page.locator('[name="amount"]').fill('4.00');
  await page.locator('main').getByRole('button', { name: 'Go on to pay' }).click();
  await page.waitForURL(/\/c\/pay\//);
  report.equal(new URL(page.url()).origin, sandbox, 'the guest pays at the same provider');
  await page.getByRole('button', { name: /^pay by card/i }).click();
  await page.waitForURL(/\/pay\/[\w-]{43}/);
  await shows(page, 'Paid, thank you');
  const text = await page.locator('main').innerText();
  report.check(!text.includes(number) && !/balance/i.test(text), `a guest sees neither the whole number nor the balance: ${text}`);
  await look('guest_posted');
  report.equal(await balance(own, account), before - 400, 'the guest paid for the account');
  await context.close();
  await customer.close();
}

/** The account is read and billed: the bill deducts what was paid, and names the last payment. */
async function nextBillDeducts(town, page, account, report) {
  await page.goto(`${account}/reading`);
  const hint = page.locator('#reading-hint');
  const last = Number(/showed\s+([\d,.]+)\s+on/.exec(await hint.innerText())?.[1].replaceAll(',', ''));
  const on = await hint.locator('time').first().getAttribute('datetime');
  // The utility reads the meter: another story sends a reading of the customer's own, and those must lie weeks apart.
  const context = await town.as('supervisor', { viewport: DESKTOP });
  const staff = await context.newPage();
  await staff.goto(`/staff/accounts/${account.split('/').pop()}/read`);
  const registers = staff.locator('[name="register"] option');
  const register = await registers.evaluateAll((all) => all.map((option) => option.value).find(Boolean));
  const read = { reading: String(Math.trunc(last) + 1), read_on: new Date(Date.parse(on) + 86_400_000).toISOString().slice(0, 10) };
  await send(staff, /read/i, { ...(register ? { register } : {}), ...read });
  report.equal(await staff.locator('[aria-invalid="true"]').count(), 0, `the reading ${read.reading} of ${read.read_on} is taken`);
  await staff.goto('/staff/run');
  const cycle = await staff.locator('[name="cycle"] option').evaluateAll((all) => all.map((option) => option.value).findLast((value) => value && value !== 'all'));
  await send(staff, 'Start', { cycle });
  const run = new URL(staff.url()).pathname;
  await reaches(staff, run, /waits for approval|held by its gates/, report);
  await issues(staff, run, report);
  await context.close();
  await page.goto(account);
  await page.getByRole('link', { name: /see this bill/i }).click();
  await page.waitForURL(/\/bills\//);
  const bill = (await page.locator('main').innerText()).replace(/\s+/g, ' ');
  report.check(/Deducted: payment of \$4\.00 on/.test(bill), `the next bill names the last payment, the guest's: ${bill.slice(0, 900)}`);
  report.check(bill.includes(`−$${AMOUNT}`), `the next bill lists the customer's payment of ${AMOUNT}`);
  await looked(page, report, 'bill that deducts it');
}
