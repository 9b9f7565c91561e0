// How long to wait before trying again.

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30000;

/** Full jitter: a thousand pages that lost the same gateway do not come back in one instant. */
export function delayMs(attempt) {
  return Math.random() * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
}
