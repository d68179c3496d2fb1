// Codes of a second factor (RFC 6238: SHA-1, 30 seconds, six digits), as an app on a phone makes them.
import { createHmac } from 'node:crypto';

const STEP_MS = 30_000;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const lastSteps = new Map();

export function totp(secret, step) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const digest = createHmac('sha1', base32(secret)).update(counter).digest();
  const offset = digest[19] & 15;
  return String((digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/** A code that was not given before: a server takes each only once, and takes the next one a little early. */
export function nextCode(secret) {
  const now = Math.floor(Date.now() / STEP_MS);
  const step = Math.max(now, (lastSteps.get(secret) ?? 0) + 1);
  if (step > now + 1) throw new Error('two codes were used in this half minute already: sign in once and keep the session');
  lastSteps.set(secret, step);
  return totp(secret, step);
}

function base32(text) {
  const clean = text.toUpperCase().replace(/[\s=]/g, '');
  const bits = [...clean].map((letter) => ALPHABET.indexOf(letter).toString(2).padStart(5, '0')).join('');
  return Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
}
