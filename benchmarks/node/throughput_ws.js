// npm `ws` in the conversation of benchmarks.throughput: node throughput_ws.js URL COUNT IN_FLIGHT
const WebSocket = require('ws');

const [url, count, inFlight] = process.argv.slice(2);
let left = 0;
let failed = 0;

function probe() {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, ['readywire.chat.v1'], { perMessageDeflate: false });
    let received = 0;
    socket.on('message', (data) => {
      JSON.parse(data);
      received += 1;
      if (received === 1) socket.send(JSON.stringify({ type: 'user_message', run_id: '1', text: 'hello' }));
      if (received === 6) socket.close(1000);
    });
    socket.on('error', () => { failed += 1; });
    socket.on('close', resolve);
  });
}

async function worker() {
  while (left-- > 0) await probe();
}

async function many(number) {
  left = number;
  await Promise.all(Array.from({ length: Number(inFlight) }, worker));
}

many(100).then(async () => {
  failed = 0;
  const before = process.cpuUsage();
  const began = process.hrtime.bigint();
  await many(Number(count));
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  const used = process.cpuUsage(before);
  const result = { cpu_ms: (used.user + used.system) / 1e3 / Number(count), rate: Number(count) / seconds, failed };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
});
