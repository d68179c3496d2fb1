// Which stories are told, and in which order. At most two run at a time: the machines that test have two cores.
import { newContext } from './browser.mjs';
import { Crawl } from './crawl.mjs';

export async function stories(browser, report, base, signIns) {
  const told = new Town(browser, report, base, signIns);
  await told.tell('visitor', () => told.crawlAsVisitor());
}

class Town {
  constructor(browser, report, base, signIns) {
    Object.assign(this, { browser, report, base, signIns });
    this.crawl = new Crawl(report);
  }

  async tell(name, body) {
    const only = process.env.AQUABILLS_STORY;
    if (!only || name.includes(only)) await this.report.story(name, body);
  }

  async crawlAsVisitor() {
    const context = await newContext(this.browser, this.base);
    const seen = await this.crawl.run(context, 'visitor', [`${this.base}/`]);
    console.log(`       visitor: ${seen.visited} pages of ${seen.kinds.length} kinds, ${seen.links} links: ${seen.kinds.join(' ')}`);
    await context.close();
  }
}
