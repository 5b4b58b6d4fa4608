// What artillery calls in the scenario of benchmarks.truth: right after its `capture` of the answer.
const fs = require('node:fs');
const { isMainThread } = require('node:worker_threads');
const { block } = require('./blocking');

if (!isMainThread) block(process.env.TRUTH_BLOCK);

exports.note = function note(context, _events, done) {
  const at = process.hrtime.bigint();
  fs.appendFileSync(process.env.TRUTH_FILE, `${(Number(at) - Number(context.vars.sent)) / 1e3}\n`);
  done();
};
