// The utility's people at work: a clerk finds an account, takes a payment, corrects, enters a read, decides a work item;
// a supervisor sends the town its bills. Scripts are off.
import { openAccount } from './story_customer.mjs';
import { cents, send, sendAgain } from './session.mjs';

/** What a clerk needs to know of an account to find it. */
async function known(town) {
  const context = await town.as('customer', { javaScriptEnabled: false });
  const page = await context.newPage();
  const number = decodeURIComponent((await openAccount(page)).split('/').pop());
  const name = (await page.locator('main .lead').first().innerText()).split('·')[0].trim();
  const meter = (await page.locator('dt:text-is("Meter") + dd').first().innerText()).trim();
  await context.close();
  return { number, name, meter };
}

export async function clerkStory(town, report) {
  const account = await known(town);
  const context = await town.as('clerk', { javaScriptEnabled: false, viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await finds(page, account, report);
  const path = `/staff/accounts/${account.number}`;
  await takesPaymentOnce(town, context, page, path, report);
  await adjusts(page, path, report);
  await refusesNonsense(page, path, report);
  await entersRead(page, path, report);
  await context.close();
}

async function finds(page, account, report) {
  for (const [what, text] of Object.entries(account)) {
    await page.goto('/staff/search');
    await page.locator('main input[name="q"]').fill(text);
    await page.locator('main').getByRole('button', { name: 'Search' }).click();
    await page.waitForURL((url) => url.search.includes('q=') || url.pathname.includes('/accounts/'));
    const found = page.locator(`main a[href="/staff/accounts/${account.number}"]`);
    report.check(await found.count() > 0 || page.url().includes(account.number), `the ${what} "${text}" finds account ${account.number}: ${(await page.locator('main').innerText()).slice(0, 400)}`);
  }
}

async function balance(page, path) {
  await page.goto(path);
  return cents(await page.locator('dt:text-is("Balance") + dd').first().innerText());
}

async function takesPaymentOnce(town, context, page, path, report) {
  const before = await balance(page, path);
  await page.goto(`${path}/payment`);
  const reference = await page.locator('[name="reference"]').inputValue();
  report.check(reference.length > 5, 'the payment form has a receipt number of its own');
  const sent = await send(page, 'Post the payment', { amount: '12.34', tender: 'cash' });
  report.check(page.url().includes(path), `after the payment the account is shown: ${page.url()}`);
  await page.reload();
  const again = await sendAgain(context, town.base, sent);
  report.equal(again.status, 303, 'the same form sent again is answered like the first');
  report.check(again.location.includes('known'), `the same form sent again is known: ${again.location}`);
  report.equal(await balance(page, path), before - 1234, 'one payment is posted however often its form is sent');
  report.equal(await page.locator('main tbody tr', { hasText: reference }).count(), 1, `the ledger has ${reference} once`);
}

async function adjusts(page, path, report) {
  const before = await balance(page, path);
  await page.goto(`${path}/adjustment`);
  const options = await page.locator('[name="reason"] option').evaluateAll((all) => all.map((option) => ({ value: option.value, text: option.textContent })));
  const credit = options.find((option) => option.value && /credit/.test(option.text));
  await send(page, 'Post it', { reason: credit.value, way: 'credit', amount: '5.00', note: 'Told in the browser test' });
  report.equal(await balance(page, path), before - 500, 'a credit of 5.00 is posted');
  report.check((await page.locator('main').innerText()).includes('Told in the browser test'), 'the note of the credit stands in the ledger');
}

async function refusesNonsense(page, path, report) {
  const before = await balance(page, path);
  await page.goto(`${path}/payment`);
  await send(page, 'Post the payment', { amount: 'a lot' });
  const field = page.locator('[name="amount"]');
  report.equal(await field.getAttribute('aria-invalid'), 'true', 'an amount that is none is marked');
  report.equal(await field.inputValue(), 'a lot', 'what was entered is still there');
  const described = (await field.getAttribute('aria-describedby')) ?? '';
  report.check(described.includes('error'), 'the field says what is wrong with it');
  report.check(await page.getByRole('alert').isVisible(), 'the page says at its head that nothing was changed');
  report.equal(await balance(page, path), before, 'a refusal changes nothing');
}

async function entersRead(page, path, report) {
  await page.goto(`${path}/read`);
  const text = await page.locator('main').innerText();
  const last = /([\d,]+(?:\.\d+)?)\s+(?:on|read)/.exec(text)?.[1] ?? '0';
  const reading = String(Math.trunc(Number(last.replaceAll(',', ''))) + 9);
  const register = await page.locator('[name="register"] option').evaluateAll((all) => all.map((option) => option.value).find(Boolean));
  // The form says today, as it is where the utility is: this machine may have another day.
  await send(page, /read/i, { ...(register ? { register } : {}), reading });
  report.check(!(await page.locator('[aria-invalid="true"]').count()), `the reading ${reading} is taken: ${(await page.locator('main').innerText()).slice(0, 300)}`);
  const said = (await page.locator('main').innerText()).slice(0, 500);
  await page.goto(`${path}/reads`);
  report.check((await page.locator('main').innerText()).replaceAll(',', '').includes(reading), `the reading ${reading} is in the list, after ${said}: ${(await page.locator('main').innerText()).slice(0, 700)}`);
}
