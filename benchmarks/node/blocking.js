// Keeps the event loop away for 50 ms in every 200 ms: asleep, or busy.
const BLOCK_MS = 50;
const EVERY_MS = 200;

exports.block = function block(kind) {
  if (kind === 'none') return;
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  setInterval(() => {
    if (kind === 'sleep') {
      Atomics.wait(nothing, 0, 0, BLOCK_MS);
      return;
    }
    const until = performance.now() + BLOCK_MS;
    while (performance.now() < until);
  }, EVERY_MS).unref();
};
