// The words of a PDF as Chromium prints it: enough to see that a figure is on paper, no more. Letters are numbers of
// glyphs there; each font has a table (ToUnicode) that leads back to text.
import { inflateSync } from 'node:zlib';

/** Number of pages and the text of all, without any white space: where lines break is the printer's matter. */
export function readPdf(bytes) {
  const objects = objectsOf(bytes);
  const pages = [...objects.values()].filter((object) => /\/Type\s*\/Page\b/.test(object.head));
  const texts = pages.map((page) => textOf(page, objects));
  return { pages: pages.length, text: texts.join('').replace(/\s+/g, '') };
}

function objectsOf(bytes) {
  const raw = bytes.toString('latin1');
  const objects = new Map();
  const starts = /(\d+) 0 obj\b/g;
  for (let found = starts.exec(raw); found; found = starts.exec(raw)) {
    const from = starts.lastIndex;
    const end = raw.indexOf('endobj', from);
    const stream = /stream\r?\n/.exec(raw.slice(from, end));
    const head = stream ? raw.slice(from, from + stream.index) : raw.slice(from, end);
    const length = Number(/\/Length (\d+)/.exec(head)?.[1] ?? 0);
    let body = '';
    if (stream) {
      const at = from + stream.index + stream[0].length;
      const data = bytes.subarray(at, at + length);
      body = (/FlateDecode/.test(head) ? inflateSync(data) : data).toString('latin1');
      starts.lastIndex = at + length;
    }
    objects.set(Number(found[1]), { head, body });
  }
  return objects;
}

function textOf(page, objects) {
  const contents = (/\/Contents\s*(?:\[([^\]]*)\]|(\d+) 0 R)/.exec(page.head) ?? []).slice(1).find(Boolean) ?? '';
  const fonts = new Map();
  for (const [, name, id] of page.head.matchAll(/\/(F\d+) (\d+) 0 R/g)) {
    const table = /\/ToUnicode (\d+) 0 R/.exec(objects.get(Number(id))?.head ?? '');
    if (table) fonts.set(name, glyphsOf(objects.get(Number(table[1])).body));
  }
  const streams = [...contents.matchAll(/(\d+)(?: 0 R|$)/g)].map(([, id]) => objects.get(Number(id))?.body ?? '');
  let glyphs = new Map();
  let text = '';
  for (const [, font, hex] of streams.join('\n').matchAll(/\/(F\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>/g)) {
    if (font) glyphs = fonts.get(font) ?? new Map();
    else text += (hex.match(/.{4}/g) ?? []).map((code) => glyphs.get(Number.parseInt(code, 16)) ?? '').join('');
  }
  return text;
}

/** The table of a font: glyph to letters. */
function glyphsOf(table) {
  const glyphs = new Map();
  const letters = (hex) => String.fromCharCode(...hex.match(/.{4}/g).map((unit) => Number.parseInt(unit, 16)));
  for (const [, block] of table.matchAll(/beginbfchar([\s\S]*?)endbfchar/g)) {
    for (const [, glyph, hex] of block.matchAll(/<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>/g)) glyphs.set(Number.parseInt(glyph, 16), letters(hex));
  }
  for (const [, block] of table.matchAll(/beginbfrange([\s\S]*?)endbfrange/g)) {
    for (const [, from, to, hex] of block.matchAll(/<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>/g)) {
      const first = Number.parseInt(hex, 16);
      for (let code = Number.parseInt(from, 16); code <= Number.parseInt(to, 16); code += 1) {
        glyphs.set(code, String.fromCharCode(first + code - Number.parseInt(from, 16)));
      }
    }
  }
  return glyphs;
}
