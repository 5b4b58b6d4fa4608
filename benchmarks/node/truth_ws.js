// npm `ws` in the conversation of benchmarks.truth: node truth_ws.js URL COUNT IN_FLIGHT RAMP_S BLOCK
const WebSocket = require('ws');
const { block } = require('./blocking');

const [url, count, inFlight, rampS, kind] = process.argv.slice(2);
const FIRST = 'agent_started';
const names = { connection_ready: 'claimed', [FIRST]: 'ready' };
const errors = {};
const note = (mark, at, sent) => (errors[mark] ??= []).push([(Number(at) - sent) / 1e3, false]);
let left = Number(count);
let failed = 0;

function probe() {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, ['readywire.chat.v1'], { perMessageDeflate: false });
    let received = 0;
    socket.on('upgrade', (response) => note('upgraded', process.hrtime.bigint(), Number(response.headers['x-sent-ns'])));
    socket.on('message', (data) => {
      const at = process.hrtime.bigint();
      const message = JSON.parse(data);
      note(names[message.type] ?? message.type, at, message.sent_ns);
      received += 1;
      if (received === 1) socket.send(JSON.stringify({ type: 'user_message', run_id: '1', text: 'hello' }));
      if (received === 6) socket.close(1000);
    });
    socket.on('error', () => { failed += 1; });
    socket.on('close', resolve);
  });
}

async function worker(index) {
  await new Promise((resolve) => setTimeout(resolve, (1000 * rampS * index) / inFlight));
  while (left-- > 0) await probe();
}

block(kind);
Promise.all(Array.from({ length: Number(inFlight) }, (_, index) => worker(index))).then(() => {
  const used = process.cpuUsage();
  const result = { errors_us: errors, cpu_ms: (used.user + used.system) / 1e3 / Number(count), failed, failure: [] };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
});
