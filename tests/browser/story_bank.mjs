// The clerk's page of bank files: a file is taken in, what fits is there, the rest is decided; without scripts.
import { DESKTOP } from './browser.mjs';
import { pictures } from './crawl.mjs';
import { inspect } from './page_checks.mjs';
import { send } from './session.mjs';

/** One account that the work of others leaves alone: the last that a search finds. */
async function anAccount(page) {
  await page.goto('/staff/search?q=a');
  const row = page.locator('main tbody tr').last();
  const [number, name] = [await row.locator('th a').innerText(), await row.locator('td').first().innerText()];
  return { number: number.trim(), name: name.trim() };
}

/** A camt.054 of today: one payment with the account's number, one with a name only, one of nobody. */
function bankFile({ number, name }) {
  const day = new Date().toISOString().slice(0, 10);
  const entry = (cents, reference, from, text) => {
    const key = `STORY-${cents}`;
    return `<Ntry><Amt Ccy="USD">${(cents / 100).toFixed(2)}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>${day}</Dt></BookgDt>`
      + `<AcctSvcrRef>${key}</AcctSvcrRef><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd><NtryDtls><TxDtls>`
      + `<Refs><EndToEndId>${reference}</EndToEndId></Refs><RltdPties><Dbtr><Nm>${from}</Nm></Dbtr></RltdPties><RmtInf><Ustrd>${text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`;
  };
  const entries = entry(1234, number, name, 'water') + entry(2345, 'NOTPROVIDED', name, 'for the water') + entry(3456, 'NOTPROVIDED', 'Zyx Wvut', 'thank you');
  return '<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.02"><BkToCstmrDbtCdtNtfctn><GrpHdr><MsgId>STORY</MsgId>'
    + `<CreDtTm>${day}T08:00:00</CreDtTm></GrpHdr><Ntfctn><Id>STORY</Id><CreDtTm>${day}T08:00:00</CreDtTm><Acct><Id><IBAN>NL26VAYB8060476890</IBAN></Id><Ccy>USD</Ccy></Acct>`
    + `${entries}</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>`;
}

async function takeIn(page, name, text) {
  await page.goto('/staff/bank');
  await page.locator('input[type="file"]').setInputFiles({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(text) });
  await page.getByRole('button', { name: 'Import' }).click();
  await page.waitForLoadState('load');
  return page.locator('main').innerText();
}

export async function bankStory(town, report) {
  const context = await town.as('clerk', { javaScriptEnabled: false, viewport: DESKTOP });
  const page = await context.newPage();
  const account = await anAccount(page);
  await page.goto('/staff/bank');
  const before = Number(/Waiting \((\d+)\)/.exec(await page.locator('main').innerText())?.[1]);
  report.check((await takeIn(page, 'odd.txt', 'hello')).includes('odd.txt: line 1: format'), 'a file of no format is refused with its place');
  const told = await takeIn(page, 'day.xml', bankFile(account));
  report.check(/3 new, 0 known: 1 applied, 2 waiting/.test(told), `the file is taken in: ${told.slice(0, 300)}`);
  report.check((await takeIn(page, 'again.xml', bankFile(account))).includes('Everything in it was known'), 'the same file adds nothing');
  await page.goto('/staff/bank');
  report.check((await page.locator('main').innerText()).includes(`Waiting (${before + 2})`), 'two more wait');
  await page.locator('section.todo', { hasText: 'Zyx Wvut' }).getByRole('link', { name: /Decide/ }).click();
  const place = new URL(page.url()).pathname;
  await page.goto(`${place}?q=${encodeURIComponent(account.number)}`);
  await page.getByRole('link', { name: `Choose ${account.number}` }).click();
  await send(page, 'Apply', { amount1: '1.00' });
  report.check(await page.getByRole('alert').isVisible(), 'parts that do not add up are refused');
  await send(page, 'Apply', { amount1: '' });
  report.check(/Movement \d+ was applied/.test(await page.locator('main').innerText()), 'it is given to the account');
  await page.goto(place);
  await send(page, 'Take it back', { note: 'The wrong account' });
  report.check(/waits again/.test(await page.locator('main').innerText()), 'it is taken back');
  await page.goto(place);
  await send(page, 'Set it aside', { note: 'A sale of scrap' });
  report.check(/was set aside/.test(await page.locator('main').innerText()), 'it is set aside');
  await context.close();
  await lookClosely(town, report);
}

/** The pages with something on them, with scripts: axe is one. */
async function lookClosely(town, report) {
  const context = await town.as('clerk', { viewport: DESKTOP });
  const page = await context.newPage();
  await page.goto('/staff/bank');
  report.problems('clerk /staff/bank with what waits', await inspect(page, pictures(page, 'clerk', '_staff_bank')));
  const links = await page.locator('main a[href^="/staff/bank/"]').evaluateAll((all) => all.map((link) => link.getAttribute('href')));
  for (const kind of ['/staff/bank/movements/', '/staff/bank/files/']) {
    const link = links.find((href) => href.startsWith(kind));
    report.check(Boolean(link), `the page leads to ${kind}`);
    if (!link) continue;
    await page.goto(link);
    report.problems(`clerk ${link}`, await inspect(page, pictures(page, 'clerk', kind)));
  }
  await context.close();
}
