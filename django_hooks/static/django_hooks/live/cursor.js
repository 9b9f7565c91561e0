// Cursors, "<epoch>.<ms>-<seq>": positions in the log. Only those of one epoch have an order.
// "" stands for a position nobody knows; any other text is good for nothing but for the gateway to
// answer with a reset.

const CURSOR = /^([0-9a-f]{8})\.(\d{1,15})-(\d{1,15})$/;

function parse(text) {
  const found = CURSOR.exec(text);
  return found && { epoch: found[1], ms: Number(found[2]), seq: Number(found[3]) };
}

/** Whether the two can be compared. */
export function sameEpoch(one, other) {
  if (one === other) return true;
  const [a, b] = [parse(one), parse(other)];
  return Boolean(a && b && a.epoch === b.epoch);
}

/** Whether `one` is not behind `other`; false for two that cannot be compared. */
export function isAtOrBefore(one, other) {
  if (one === other) return true;
  if (!sameEpoch(one, other)) return false;
  const [a, b] = [parse(one), parse(other)];
  return a.ms < b.ms || (a.ms === b.ms && a.seq <= b.seq);
}

/** The earlier of two of one epoch. */
export function earlier(one, other) {
  return isAtOrBefore(one, other) ? one : other;
}

/** The later of two of one epoch. */
export function later(one, other) {
  return isAtOrBefore(one, other) ? other : one;
}
